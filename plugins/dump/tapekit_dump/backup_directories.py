"""Phase III: the directories, from the spool to the stream.

The spool holds them exactly as they shall stand, but for the record numbers,
which count from its own beginning. So it is copied in large views, and each
header is shifted on the way. The one rule: a view ends between two records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_dump.header_packing import rebase_header
from tapekit_dump.headers import ADDRESS_COUNT, RECORD_BYTES, HeaderType, unpack_header

if TYPE_CHECKING:
    from tapekit.streams import StreamWriter
    from tapekit_dump.backup_history import HistoryBatches
    from tapekit_dump.headers import Header
    from tapekit_dump.spool import Spool

__all__ = ["write_directories"]

_VIEW_BYTES: Final = 1 << 20


def write_directories(records: Spool, writer: StreamWriter, history: HistoryBatches | None) -> None:
    """Copy all directories to the stream.

    :raises ConnectionBroken: the stream's other end broke off.
    :raises TapekitError: the spool cannot be read.
    """
    base = writer.position
    cursor = _Cursor(base, history)
    for offset in range(0, records.length, _VIEW_BYTES):
        view = memoryview(records.read(offset, _VIEW_BYTES))
        cursor.pass_over(view, offset)
        writer.write(view)


class _Cursor:
    """Where the headers are while the spool passes by."""

    def __init__(self, base: int, history: HistoryBatches | None) -> None:
        self._base: Final = base
        self._history: Final = history
        self._next_header = 0
        self._directory = 0
        self._names_left = 0
        self._dots_left = 0

    def pass_over(self, view: memoryview, offset: int) -> None:
        """Shift the headers in a view that begins at ``offset`` of the spool."""
        at, end = offset, offset + len(view)
        while at < end:
            if at == self._next_header:
                stop = at + RECORD_BYTES
                self._take_header(view[at - offset : stop - offset], at)
            else:
                stop = min(end, self._next_header)
                self._take_content(view[at - offset : stop - offset])
            at = stop

    def _take_header(self, record: memoryview, at: int) -> None:
        rebase_header(record, 0, self._base // RECORD_BYTES)
        # A directory has no holes, so each address is a record.
        records = ADDRESS_COUNT.unpack_from(record)[0]
        self._next_header = at + RECORD_BYTES * (1 + records)
        if self._history is not None:
            self._note(unpack_header(record), at, self._history)

    def _note(self, header: Header, at: int, history: HistoryBatches) -> None:
        if header.has_attributes:
            self._names_left = 0
        elif header.type == HeaderType.INODE:
            self._directory, self._names_left = header.inode, header.size
            self._dots_left = 2
            history.add_header(header, self._base + at)

    def _take_content(self, content: memoryview) -> None:
        names = content[: self._names_left]
        self._names_left -= len(names)
        if self._history is not None:
            self._history.add_names(bytes(names), self._directory, skip=self._dots_left)
            self._dots_left = 0
