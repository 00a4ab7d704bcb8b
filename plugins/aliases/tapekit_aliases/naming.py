"""Names devices by the aliases that the state store keeps.

The book is read when devices have been found, and those that are new get
aliases at once; only a stack that runs writes them down, so that a command
which looks at a stack changes nothing. The one rule: what a caller was told
is in the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit_aliases.addresses import parse_address
from tapekit_aliases.book import AliasBook, check_name
from tapekit_aliases.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.media_changer import ChangerDescription
    from tapekit.hookspecs.state import StateStore
    from tapekit.hookspecs.tape_driver import DriveDescription
    from tapekit_tape_devices.hookspecs import Device

__all__ = ["AliasNaming"]

_SPACE: Final = "aliases"
_NAME: Final = "name."
"""Begins the keys of aliases; the values are what they are bound to."""
_CLEARED: Final = "cleared."
"""Begins the keys of devices whose aliases were cleared."""


@final
class AliasNaming:
    """A :class:`tapekit_tape_devices.hookspecs.DeviceNames` over a store."""

    def __init__(self) -> None:
        self._state: StateStore | None = None
        self.book = AliasBook({})
        self.devices: Sequence[Device] = ()
        self.changing: Final = trio.Lock()
        """Who has it makes another book of the present one."""

    def settle(self, state: StateStore) -> None:
        """Take the store; called once, before all else."""
        self._state = state

    def meet(
        self, drives: Sequence[DriveDescription], changers: Sequence[ChangerDescription]
    ) -> None:
        """See :meth:`DeviceNames.meet`.

        :raises TapekitError: what the store has is no book of aliases.
        """
        devices: Sequence[Device] = (*drives, *changers)
        self.book = self._load().with_new(devices)
        self.devices = devices

    def names(self, device: Device) -> tuple[str, ...]:
        """See :meth:`DeviceNames.names`."""
        return self.book.names(device)

    async def remember(self, look: Callable[[], object]) -> None:
        """See :meth:`DeviceNames.remember`."""
        async with self.changing:
            # What has begun is finished, so that names and store agree.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(look)
                await trio.to_thread.run_sync(self.keep, self.book)

    def keep(self, book: AliasBook) -> None:
        """Write a book down, and name devices by it from now on. Blocks; for
        whoever has :attr:`changing`.

        :raises TapekitError: the store cannot be written; nothing changed.
        """
        before, after = set(self._store.items(_SPACE)), _written(book)
        gone: dict[str, bytes | None] = dict.fromkeys(before - after.keys())
        self._store.change(_SPACE, {**gone, **after})
        self.book = book

    @property
    def _store(self) -> StateStore:
        assert self._state is not None
        return self._state

    def _load(self) -> AliasBook:
        aliases, cleared = {}, set()
        for key, value in self._store.items(_SPACE).items():
            if key.startswith(_CLEARED):
                cleared.add(key.removeprefix(_CLEARED))
                continue
            try:
                name = check_name(key.removeprefix(_NAME))
                aliases[name] = parse_address(value.decode())
            except (TapekitError, UnicodeDecodeError) as error:
                raise CATALOGUE.error("unreadable", key=key, value=value, reason=error) from error
        return AliasBook(aliases, cleared)


def _written(book: AliasBook) -> dict[str, bytes]:
    return {
        **{f"{_NAME}{name}": str(address).encode() for name, address in book.aliases.items()},
        **{f"{_CLEARED}{key}": b"" for key in book.cleared},
    }
