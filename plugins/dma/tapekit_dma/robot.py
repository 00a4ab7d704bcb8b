"""The robot of a library, moved by SCSI commands through its server.

Any NDMP server passes such commands on, so this works wherever a changer is.
The changer is opened for one motion at a time, which leaves it to others in
between. The one rule: a cartridge is found by its barcode each time, never
where it was last seen.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.scsi.cdb import changer_command
from tapekit.scsi.elements import Element, ElementType, decode_elements
from tapekit.scsi.sense import SenseKey
from tapekit_dma.errors import CATALOGUE
from tapekit_ndmp_v4.client import scsi
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tapekit_ndmp_v4.client import CdbAnswer, NdmpClient

__all__ = ["Contents", "Robot"]

_ROOM: Final = 60_000
"""Bytes of an answer: with its envelope one message of 64 KiB."""
_ALL: Final = 0xFFFF
_PATIENCE_S: Final = 300.0
"""How long another session may hold the changer, which takes a motion or two."""
_AGAIN_S: Final = 0.5
_TRIES: Final = 4
"""A changer tells each of its news once before it does what it is asked."""


@final
class Contents:
    """What a library holds."""

    def __init__(self, elements: Sequence[Element], drive_number: int, robot: str) -> None:
        self._elements: Final = elements
        drives = sorted(
            (each for each in elements if each.type is ElementType.DRIVE),
            key=lambda each: each.address,
        )
        if drive_number >= len(drives):
            raise CATALOGUE.error(
                "no-such-drive", robot=robot, number=drive_number, drives=len(drives)
            )
        self.drive: Final = drives[drive_number]

    @property
    def barcodes(self) -> frozenset[str]:
        """The cartridges that can be loaded."""
        places = (ElementType.STORAGE, ElementType.IMPORT_EXPORT)
        return frozenset(
            each.volume_tag
            for each in self._elements
            if each.volume_tag is not None
            and (each.type in places or each.address == self.drive.address)
        )

    def place_of(self, barcode: str) -> Element | None:
        """Where a cartridge is."""
        return next((each for each in self._elements if each.volume_tag == barcode), None)

    @property
    def home(self) -> int:
        """Where the cartridge in the drive belongs.

        :raises TapekitError: there is no room for it.
        """
        slots = [each for each in self._elements if each.type is ElementType.STORAGE]
        free = [each.address for each in slots if not each.is_full]
        if self.drive.source in free:
            return self.drive.source or 0
        if not free:
            raise CATALOGUE.error("no-free-slot", cartridge=self.drive.volume_tag or "a cartridge")
        return free[0]


@final
class Robot:
    """A changer of one server.

    :param client: a session that holds no other device meanwhile.
    """

    def __init__(self, client: NdmpClient, device: str, drive_number: int) -> None:
        self._client: Final = client
        self._device: Final = device
        self._drive_number: Final = drive_number

    async def contents(self) -> Contents:
        """Look at all elements; SMC, READ ELEMENT STATUS."""
        command = changer_command("READ ELEMENT STATUS")
        found: list[Element] = []
        async with self._opened():
            for kind in (ElementType.DRIVE, ElementType.STORAGE, ElementType.IMPORT_EXPORT):
                start = 0
                while start <= _ALL:
                    cdb = command.build(
                        tags=1, type=kind.value, start=start, count=_ALL, allocation=_ROOM
                    )
                    answer = await self._execute(cdb, data_in=_ROOM)
                    told = decode_elements(answer.data)
                    found += told
                    announced = int.from_bytes(answer.data[2:4], "big")
                    if not told or len(told) >= announced:
                        break
                    start = max(each.address for each in told) + 1
        return Contents(found, self._drive_number, self._device)

    async def move(self, source: int, destination: int) -> None:
        """Move a cartridge; SMC, MOVE MEDIUM.

        :raises TapekitError: the robot did not.
        """
        command = changer_command("MOVE MEDIUM")
        async with self._opened():
            await self._execute(command.build(source=source, destination=destination))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        await self._open()
        try:
            yield
        finally:
            await scsi.close(self._client)

    async def _open(self) -> None:
        """Take the changer; wait while another session moves it."""
        give_up = trio.current_time() + _PATIENCE_S
        while True:
            try:
                return await scsi.open_device(self._client, self._device)
            except NdmpReplyError as refused:
                is_busy = refused.code == NdmpError.DEVICE_BUSY_ERR
                if not is_busy or trio.current_time() > give_up:
                    raise
            await trio.sleep(_AGAIN_S)

    async def _execute(self, cdb: bytes, data_in: int = 0) -> CdbAnswer:
        for _ in range(_TRIES):
            answer = await scsi.execute(self._client, cdb, data_in=data_in)
            if answer.is_good:
                return answer
            sense = answer.sense
            if sense is None or sense.key != SenseKey.UNIT_ATTENTION:
                break
        said = str(answer.sense or f"status {answer.status:#04x}")
        raise CATALOGUE.error(
            "robot-failed", robot=self._device, command=f"{cdb[0]:#04x}", said=said
        )
