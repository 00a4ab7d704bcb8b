"""Records that are compressed: some of them together make one frame.

A frame holds whole records of one length, so any record is found by the
index and costs the decompression of one frame. What does not get smaller
is written as it is. The one rule: what a frame says of its size is judged by
what the index says before memory is taken for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent, piece_length, pread_exactly, slice_piece
from tapekit_vtape.errors import CATALOGUE
from tapekit_vtape.index_format import FRAME_BYTES
from tapekit_vtape.zstd import ZstdError, find_zstd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.segments import Piece
    from tapekit_vtape.host_files import HostFile
    from tapekit_vtape.tape_map import Run
    from tapekit_vtape.zstd import ZstdLibrary

__all__ = ["FramePacker", "FrameReader"]


@final
class FramePacker:
    """Compresses what one drive writes."""

    def __init__(self, library: ZstdLibrary) -> None:
        self._library: Final = library
        self._raw = bytearray()
        self._packed = bytearray()

    def groups(self, pieces: Sequence[Piece], record_size: int) -> Iterator[memoryview]:
        """The bytes of pieces in groups of whole records; each group is good
        until the next is asked for.

        :raises OSError: the file of an extent cannot be read.
        """
        most = max(FRAME_BYTES // record_size, 1) * record_size
        if len(self._raw) < most:
            self._raw = bytearray(most)
            self._packed = bytearray(self._library.bound(most))
        room = memoryview(self._raw)
        filled = 0
        for piece in pieces:
            done = 0
            while done < piece_length(piece):
                length = min(piece_length(piece) - done, most - filled)
                _fill(room[filled : filled + length], slice_piece(piece, done, done + length))
                done, filled = done + length, filled + length
                if filled == most:
                    yield room[:filled]
                    filled = 0
        if filled:
            yield room[:filled]

    def pack(self, start: int, length: int) -> memoryview:
        """Compress a part of the group that was answered last; as it is if it
        does not get smaller.
        """
        # The library takes buffers from their beginning.
        part = bytearray(memoryview(self._raw)[start : start + length]) if start else self._raw
        count = self._library.compress(part, length, self._packed)
        if count < length:
            return memoryview(self._packed)[:count]
        return memoryview(self._raw)[start : start + length]


def _fill(room: memoryview, piece: Piece) -> None:
    if isinstance(piece, Extent):
        pread_exactly(piece, room)
    else:
        room[:] = piece


@final
class FrameReader:
    """Decompresses frames of one cartridge, and keeps the last one."""

    def __init__(self, payload: HostFile, barcode: str) -> None:
        self._payload: Final = payload
        self._barcode: Final = barcode
        self._library: ZstdLibrary | None = None
        self._place: tuple[int, int] | None = None
        self._records = memoryview(b"")

    def forget(self) -> None:
        """The payload changes."""
        self._place = None

    def records(self, run: Run) -> memoryview:
        """The records of a compressed run, end to end; good until the next call.

        :raises TapeError: ``MEDIUM_ERROR``, the frame is damaged;
            ``HARDWARE_ERROR``, the host has no libzstd.
        """
        place = (run.first_byte, run.packed)
        if place != self._place:
            self._place = None
            self._records = memoryview(self._unpacked(run))
            self._place = place
        return self._records[: run.length * run.objects]

    def _unpacked(self, run: Run) -> bytearray:
        if self._library is None:
            self._library = find_zstd()
        library = self._library
        if library is None:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-zstd-to-read",
                condition=Condition.HARDWARE_ERROR,
                barcode=self._barcode,
            )
        frame = self._payload.read(run.packed, run.first_byte)
        try:
            size = library.content_size(frame)
            _judge(size, run)
            return library.decompress(frame, size)
        except ZstdError as error:
            raise CATALOGUE.raised_as(
                TapeError,
                "frame-damaged",
                condition=Condition.MEDIUM_ERROR,
                barcode=self._barcode,
                offset=run.first_byte,
                reason=str(error),
            ) from error


def _judge(size: int, run: Run) -> None:
    """Refuse what a frame says of its size if it cannot be.

    :raises ZstdError: saying why.
    """
    least, most = run.length * run.objects, max(FRAME_BYTES, run.length)
    if not least <= size <= most or size % run.length:
        raise ZstdError(f"it claims {size} bytes of records of {run.length}")
