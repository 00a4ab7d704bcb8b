"""The tape device of a session: at most one, open or not.

Everything that touches a drive blocks and runs in a worker thread. The one
rule: a drive has one user at a time, so requests are refused while the mover
is active and wait for a mover that is still letting go, and a mover to which
somebody connects waits for the request that the drive is busy with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import OpenMode, OpenTape, TapeInventory
    from tapekit_ndmp_v4.link import SessionLink

__all__ = ["TapeServer"]

T = TypeVar("T")


@final
class TapeServer:
    """Opens, lends and closes the session's tape device."""

    def __init__(self, inventory: TapeInventory | None, link: SessionLink) -> None:
        self._inventory: Final = inventory
        self._link: Final = link
        self.tape: OpenTape | None = None
        self.in_use: Final = trio.Lock()
        """Held while a request uses the drive."""
        self.met_filemark = False
        """Whether the last thing done was a TAPE_READ that met a filemark:
        clients then expect a record number that nobody knows."""

    @property
    def inventory(self) -> TapeInventory | None:
        """The stack's tape devices."""
        return self._inventory

    async def open(self, device: str, mode: OpenMode) -> None:
        """Open a device.

        :raises TapeError: see :meth:`TapeInventory.open`.
        """
        inventory = self._inventory
        assert inventory is not None, "a stack without tape devices has none to open"
        self.tape = await self.blocking(lambda: inventory.open(device, mode, self._link.name))
        self._link.announce("tape-opened", device=device)

    async def close(self) -> None:
        """Close the device if one is open; it is let go also when that fails.

        :raises TapeError: rewinding or unloading failed.
        """
        tape, self.tape = self.tape, None
        if tape is not None:
            try:
                await self.blocking(tape.close)
            finally:
                self._link.announce("tape-closed", device=tape.device.name)

    async def blocking(self, work: Callable[[], T]) -> T:
        """Run work that waits for a drive in a worker thread."""
        return await self._link.in_thread(work)
