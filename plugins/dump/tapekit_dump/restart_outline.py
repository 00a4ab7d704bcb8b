"""What a dump stream has before phase IV, as two numbers.

Maps and directories follow from the first pass over the tree. A restarted
backup makes that pass once more, over the same Snapshot copy, and compares:
if position and check sum are those of the first time, each object has the
number and the name that the part of the stream has which is on tape already.
The one rule: nothing of this leaves.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.segments import BUFFER_BYTES, Batch, Extent
from tapekit.streams import StreamWriter
from tapekit_dump.backup_directories import write_directories
from tapekit_dump.backup_history import HistoryBatches
from tapekit_dump.backup_maps import write_maps
from tapekit_dump.backup_stream import ObjectStream
from tapekit_dump.headers import ADDRESS_COUNT, FIELDS, RECORD_BYTES
from tapekit_dump.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tapekit.hookspecs.data_engine import NodeTable
    from tapekit_dump.backup_offsets import OffsetCollector
    from tapekit_dump.header_packing import HeaderPacker
    from tapekit_dump.plan import Step
    from tapekit_dump.spool import Spool
    from tapekit_dump.walk import TreeIndex

__all__ = ["Outline", "outline_of", "steps_from"]

_MAY_CHANGE: Final = tuple(
    (field.offset, field.offset + 4)
    for field in FIELDS
    if field.name in {"checksum", "atime_s", "atime_us"}
)
"""Where headers have access times, of four bytes, and what depends on them."""


class Outline(NamedTuple):
    """What stands for all of the stream before phase IV."""

    length: int
    """In bytes: where phase IV begins."""
    checksum: int


def outline_of(index: TreeIndex, packer: HeaderPacker, offsets: OffsetCollector | None) -> Outline:
    """The outline of a dump whose tree has been walked.

    :param offsets: is told of the directories' places, if given.
    :raises TapekitError: a spool failed.
    """
    sink = _SummingSink()
    writer = StreamWriter(sink)
    write_maps(ObjectStream(writer, packer, None), index)
    writer.turn()
    checksum = _directories_sum(index.records, sink.checksum)
    if offsets is None:
        return Outline(writer.position + index.records.length, checksum)
    history = _SilentHistory()
    history.offsets = offsets
    write_directories(index.records, writer, history)
    history.flush()
    return Outline(writer.position, checksum)


def _directories_sum(records: Spool, checksum: int) -> int:
    """Sum directories up, without what reading them may change."""
    at = 0
    while at < records.length:
        header = records.read(at, RECORD_BYTES)
        end = at + RECORD_BYTES * (1 + ADDRESS_COUNT.unpack(header)[0])
        for start, stop in _MAY_CHANGE:
            header[start:stop] = bytes(stop - start)
        checksum = zlib.crc32(header, checksum)
        for offset in range(at + RECORD_BYTES, end, BUFFER_BYTES):
            piece = records.read(offset, min(BUFFER_BYTES, end - offset))
            checksum = zlib.crc32(piece, checksum)
        at = end
    return checksum


def steps_from(plan: Iterable[Step], number: int) -> Iterator[Step]:
    """The steps of a plan without what has a lower number, directories aside:
    they lead to what follows.
    """
    for step in plan:
        done = number - step.first
        if done <= 0 or step.kind is StepKind.DIRECTORY:
            yield step
        elif done < len(step.names):
            yield step._replace(first=number, names=step.names[done:])


@final
class _SilentHistory(HistoryBatches):
    """File history that nobody gets."""

    def add_names(self, content: bytes, directory: int, *, skip: int = 0) -> None:
        """See :class:`HistoryBatches`."""

    def begin_files(self, first: int, names: Sequence[bytes], directory: bytes) -> None:
        """See :class:`HistoryBatches`."""

    def hand_over(self, nodes: NodeTable) -> None:
        """See :class:`HistoryBatches`."""

    def await_sent(self) -> None:
        """See :class:`HistoryBatches`."""


@final
class _SummingSink:
    """A :class:`tapekit.segments.DataSink` that keeps nothing but a check sum."""

    def __init__(self) -> None:
        self._buffer: Final = memoryview(bytearray(BUFFER_BYTES))
        self.checksum = 0

    def acquire(self) -> memoryview:
        """See :meth:`DataSink.acquire`; what was put has been used already."""
        return self._buffer

    def recycle(self, buffer: memoryview) -> None:
        """See :meth:`DataSink.recycle`."""

    def put(self, batch: Batch) -> None:
        """See :meth:`DataSink.put`."""
        for piece in batch.pieces:
            assert not isinstance(piece, Extent), "maps and directories come through memory"
            self.checksum = zlib.crc32(piece, self.checksum)
        batch.release()

    def drain(self) -> None:
        """See :meth:`DataSink.drain`."""

    def finish(self) -> None:
        """See :meth:`DataSink.finish`."""
