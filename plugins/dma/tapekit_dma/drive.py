"""A drive with its robot: cartridges loaded, labels read and written.

Before anything is written to a cartridge its label is read, here and nowhere
else, and compared with what the catalogue expects. The one rule: a tape that
says anything unexpected is not written to.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_dma.errors import CATALOGUE
from tapekit_dma.label import LABEL_BYTES, Label, decode_label, encode_label
from tapekit_dma.tape_reader import TapeReader
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import TapeAt
from tapekit_ndmp_v4.client import tape as tape_steps
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import MtioOp, NdmpError, TapeOpenMode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tapekit_dma.robot import Robot
    from tapekit_ndmp_v4.client import NdmpClient

__all__ = ["Drive"]

_LOADING: Final = frozenset({NdmpError.DEVICE_BUSY_ERR, NdmpError.NO_TAPE_LOADED_ERR})
_LOADING_S: Final = 120.0
"""How long a drive may be busy, or take to thread a tape."""
_AGAIN_S: Final = 0.5


@final
class Drive:
    """One drive, opened and closed again by each method.

    :param client: the tape's session; its tape is closed, its mover perhaps
        paused.
    """

    def __init__(self, client: NdmpClient, device: str, robot: Robot) -> None:
        self._client: Final = client
        self._robot: Final = robot
        self.device: Final = device

    def at(self, file: int) -> TapeAt:
        """A tape file of the cartridge in the drive."""
        return TapeAt(self.device, file)

    async def barcodes(self) -> frozenset[str]:
        """The cartridges that can be loaded."""
        return (await self._robot.contents()).barcodes

    async def load(self, barcode: str) -> None:
        """Have a cartridge in the drive, and what was there back in a slot.

        :raises TapekitError: it is not there, or the robot or the drive fails.
        """
        contents = await self._robot.contents()
        if contents.drive.volume_tag == barcode:
            return
        place = contents.place_of(barcode)
        if place is None:
            raise CATALOGUE.error("cartridge-missing", barcode=barcode)
        if contents.drive.is_full:
            await self._let_go()
            await self._robot.move(contents.drive.address, contents.home)
        await self._robot.move(place.address, contents.drive.address)

    async def _let_go(self) -> None:
        """Have the drive rewind and unload, if it has threaded the tape."""
        try:
            await self._open(
                TapeOpenMode.READ, patience_s=_LOADING_S, over=NdmpError.DEVICE_BUSY_ERR
            )
        except NdmpReplyError as refused:
            if refused.code != NdmpError.NO_TAPE_LOADED_ERR:
                raise
            return
        await tape_steps.move(self._client, MtioOp.OFF, 1)
        await tape_steps.close(self._client)

    async def read_start(self) -> bytes | None:
        """The first record of the tape, as far as a label goes; empty if a
        filemark is first, ``None`` if there is nothing at all.
        """
        async with self._opened(TapeOpenMode.READ):
            return await self.start_of_open_tape()

    async def start_of_open_tape(self) -> bytes | None:
        """The same of a tape that the session has open already."""
        await tape_steps.rewind(self._client)
        record = await TapeReader(self._client).record(LABEL_BYTES)
        if record is not None:
            return record
        await tape_steps.rewind(self._client)
        return b"" if await TapeReader(self._client).next_file() else None

    async def require_open_tape(self, barcode: str, label: str | None) -> None:
        """Compare the label of the tape that the session has open.

        :raises TapekitError: it is another one.
        """
        start = await self.start_of_open_tape()
        found = None if start is None else decode_label(start)
        if found is None or found.identifier != label:
            raise CATALOGUE.error("exchanged", barcode=barcode)

    async def read_label(self) -> Label | None:
        """The label, if the tape has one."""
        record = await self.read_start()
        return None if record is None else decode_label(record)

    async def require_writable(self) -> None:
        """Have the drive say whether it would write to its tape.

        :raises NdmpReplyError: WRITE_PROTECT and the like.
        """
        async with self._opened(TapeOpenMode.RDWR):
            pass

    async def write_label(self, label: Label, *, start: bytes | None) -> None:
        """Write a label at the beginning, which ends whatever was there, and
        read it again.

        :param start: what the tape has to begin with, so that no other than
            the one that was looked at gets the label.
        :raises NdmpReplyError: WRITE_PROTECT and the like.
        :raises TapekitError: the tape says something else afterwards.
        """
        async with self._opened(TapeOpenMode.RDWR):
            if await self.start_of_open_tape() != start:
                raise CATALOGUE.error("exchanged", barcode=label.barcode)
            await tape_steps.rewind(self._client)
            await self._client.call(m.TapeWriteRequest(data_out=encode_label(label)))
            await tape_steps.write_filemarks(self._client, 1)
            await tape_steps.rewind(self._client)
        if await self.read_label() != label:
            raise CATALOGUE.error("label-not-written", barcode=label.barcode)

    async def ends_before(self, file: int) -> bool:
        """Whether the tape has all files before this one and no record in it.

        :raises TapekitError: ``ndmp_v4.tape-stops-short``.
        """
        async with self._opened(TapeOpenMode.READ):
            await tape_steps.go_to(self._client, file)
            if await TapeReader(self._client).record(LABEL_BYTES) is not None:
                return False
            await tape_steps.go_to(self._client, file)
            return not await TapeReader(self._client).next_file()

    async def append_file(
        self, file: int, records: Iterable[bytes], *, barcode: str, label: str | None
    ) -> None:
        """Write a tape file of records, behind which the tape then ends.

        :raises TapekitError: the cartridge has been exchanged, or the tape ends before.
        :raises NdmpReplyError: EOM_ERR and the like; the file is not whole then.
        """
        async with self._opened(TapeOpenMode.RDWR):
            await self.require_open_tape(barcode, label)
            await tape_steps.go_to(self._client, file)
            for record in records:
                await self._client.call(m.TapeWriteRequest(data_out=record))
            await tape_steps.write_filemarks(self._client, 1)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[TapeReader]:
        """Have the tape open for reading, file by file."""
        async with self._opened(TapeOpenMode.READ):
            yield TapeReader(self._client)

    @asynccontextmanager
    async def _opened(self, mode: TapeOpenMode) -> AsyncIterator[None]:
        await self._open(mode)
        try:
            yield
        finally:
            await tape_steps.close(self._client)

    async def _open(
        self,
        mode: TapeOpenMode,
        *,
        patience_s: float = _LOADING_S,
        over: NdmpError | None = None,
    ) -> None:
        """Open the drive; wait while it is busy or threads the tape.

        :param over: the one refusal to be patient with; without it both.
        """
        give_up = trio.current_time() + patience_s
        while True:
            try:
                return await tape_steps.open_device(self._client, self.device, mode)
            except NdmpReplyError as refused:
                is_awaited = refused.code in _LOADING if over is None else refused.code == over
                if not is_awaited or trio.current_time() > give_up:
                    raise
            await trio.sleep(_AGAIN_S)
