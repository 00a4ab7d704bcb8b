"""Records on their way from a drive to a connection.

A drive answers either in the buffer that it was given, which then travels
with the batch, or with extents of a file of its own, whose descriptors are
duplicated, because the drive may close or change them at its next call while
the batch is still under way. So nothing is copied and nobody waits.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import Batch, Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.tape_driver import ReadRun, TapeDrive
    from tapekit.segments import DataSink, Piece

__all__ = ["RecordSender"]


@final
class RecordSender:
    """Reads runs of records and hands parts of them over."""

    def __init__(self, sink: DataSink) -> None:
        self._sink: Final = sink
        self._buffer: memoryview | None = None

    def read(self, drive: TapeDrive, limit: int, record_size: int) -> ReadRun:
        """Read whole records; see :meth:`TapeDrive.read_records`.

        :raises TapeError: nothing was read.
        :raises ConnectionBroken: the connection was aborted.
        """
        if self._buffer is None:
            self._buffer = self._sink.acquire()
        return drive.read_records(self._buffer, limit, record_size)

    def put(self, pieces: Sequence[Piece]) -> None:
        """Hand over pieces of the run that was read last.

        :raises ConnectionBroken: the other end broke off.
        """
        with ExitStack() as undo:
            duplicates: dict[int, int] = {}
            for piece in pieces:
                if isinstance(piece, Extent) and piece.fd not in duplicates:
                    duplicates[piece.fd] = os.dup(piece.fd)
                    undo.callback(os.close, duplicates[piece.fd])
            release = undo.pop_all()
        if self._buffer is not None and not all(isinstance(piece, Extent) for piece in pieces):
            release.callback(self._sink.recycle, self._buffer)
            self._buffer = None
        handed = [
            piece._replace(fd=duplicates[piece.fd]) if isinstance(piece, Extent) else piece
            for piece in pieces
        ]
        self._sink.put(Batch.of(handed, release.close))

    def close(self) -> None:
        """Give the buffer back that no batch has."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            self._sink.recycle(buffer)
