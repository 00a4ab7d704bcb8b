"""The stream of a backup: headers and padded data, with what goes along.

Every object passes through here or is put straight into the writer's buffer
by the loop for small files; either way the buffer only ever holds whole
records. The one rule: each header is followed by as many records as it says.
"""

from __future__ import annotations

import operator
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_dump.headers import RECORD_BYTES, RUNS, Inode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.streams import StreamWriter
    from tapekit_dump.backup_history import HistoryBatches
    from tapekit_dump.header_packing import HeaderPacker, HeaderTemplate
    from tapekit_dump.headers import Run

__all__ = ["LOST", "STATUS_CTIME", "CtimeOf", "ObjectStream"]

CtimeOf: TypeAlias = Callable[[os.stat_result], int]
"""Tells when an object was last changed, in seconds since 1970."""

STATUS_CTIME: Final[CtimeOf] = operator.itemgetter(stat.ST_CTIME)
"""Where a status is the object's own."""

LOST: Final = Inode(mode=stat.S_IFREG, links=1, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=0)
"""An object of which nothing is known but its number: empty, without rights."""


@final
class ObjectStream:
    """Puts objects into the stream, and tells the file history."""

    def __init__(
        self, writer: StreamWriter, packer: HeaderPacker, history: HistoryBatches | None
    ) -> None:
        self.writer: Final = writer
        self.packer: Final = packer
        self.history: Final = history
        self.lost_numbers: Final[list[int]] = []
        """Numbers of objects that are not in the dump as they are."""
        self.processed = 0
        """Bytes, as of the last :meth:`mark`; readable from any thread."""

    def mark(self) -> None:
        """Let the progress be seen."""
        self.processed = self.writer.position

    def header(
        self, template: HeaderTemplate, number: int, inode: Inode, size: int, run: Run
    ) -> None:
        """Append one header."""
        writer = self.writer
        if writer.room < RECORD_BYTES:
            # Zeros behind an extent leave the buffer between two records.
            writer.turn()
        record = writer.position // RECORD_BYTES
        template.pack(writer.buffer, writer.end, record, number, inode=inode, size=size, run=run)
        writer.end += RECORD_BYTES

    def bare(self, template: HeaderTemplate, map_records: int = 0) -> None:
        """Append a header that has no attributes."""
        record = self.writer.position // RECORD_BYTES
        self.writer.write(template.bare(record, map_records=map_records))

    def padded(self, data: bytes) -> None:
        """Append data, and zeros up to the next record."""
        self.writer.write(data)
        self.writer.write(bytes(-len(data) % RECORD_BYTES))

    def whole(self, number: int, inode: Inode, data: bytes, sets: Sequence[bytes]) -> None:
        """Append an object whose content is at hand, at most a span of it."""
        if self.history is not None:
            self.history.add_inode(number, inode, len(data), self.writer.position)
        run = RUNS[-(-len(data) // RECORD_BYTES)]
        self.header(self.packer.inode, number, inode, len(data), run)
        self.padded(data)
        self.sets(number, inode, sets)

    def lost(self, number: int) -> None:
        """Append what stands for an object that cannot be had."""
        self.lost_numbers.append(number)
        self.whole(number, LOST, b"", ())

    def sets(self, number: int, inode: Inode, sets: Sequence[bytes]) -> None:
        """Append the sets of attributes of the object before."""
        for blob in sets:
            run = RUNS[-(-len(blob) // RECORD_BYTES)]
            self.header(self.packer.set_template(blob), number, inode, len(blob), run)
            self.padded(blob)
