"""One directory as it will stand in the stream, built in the spool.

Content comes in slices of any number, so headers are written when their
content is complete and patched once the whole size is known. Record numbers
count from the spool's beginning and are shifted when it is copied to the
stream. The one rule: a directory has one set of attributes that other
programs read, since Debian's restore keeps only the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_dump.directories import DirectoryEncoder
from tapekit_dump.headers import RECORD_BYTES, RUNS, SPAN_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tapekit_dump.header_packing import HeaderPacker, HeaderTemplate
    from tapekit_dump.headers import Inode, Run
    from tapekit_dump.spool import Spool

__all__ = ["DirectoryRecord"]


@final
class DirectoryRecord:
    """Appends one directory to a spool."""

    def __init__(self, spool: Spool, packer: HeaderPacker, number: int, parent: int) -> None:
        self._spool: Final = spool
        self._packer: Final = packer
        self._number: Final = number
        self._encoder: Final = DirectoryEncoder(number, parent)
        self._start: Final = spool.length
        self._content = b""
        self._spans = 0

    def add(self, entries: Iterable[tuple[int, int, bytes]]) -> list[int]:
        """Append entries: number, type, name.

        :returns: where in the spool the numbers are missing of those that
            were added with 0.
        """
        encoder = self._encoder
        encoder.add(entries)
        if len(self._content) + encoder.waiting >= SPAN_BYTES:
            self._write_full_spans()
        missing = [self._place(offset) for offset in encoder.unnumbered]
        encoder.unnumbered.clear()
        return missing

    def finish(self, inode: Inode, sets: Iterable[bytes]) -> None:
        """Complete the record with the directory's attributes."""
        content = self._content + self._encoder.finish()
        size = self._spans * SPAN_BYTES + len(content)
        if content:
            self._append(self._template(self._spans), inode, size, content)
        for span in range(self._spans):
            place = self._place(span * SPAN_BYTES) - RECORD_BYTES
            header = self._header(self._template(span), place, inode, size, RUNS[-1])
            self._spool.patch(place, header)
        for blob in sets:
            self._append(self._packer.set_template(blob), inode, len(blob), blob)

    def _place(self, offset: int) -> int:
        """Where a byte of the content is in the spool."""
        spans, rest = divmod(offset, SPAN_BYTES)
        return self._start + spans * (RECORD_BYTES + SPAN_BYTES) + RECORD_BYTES + rest

    def _write_full_spans(self) -> None:
        """Append what fills spans, behind headers that are still empty."""
        self._content += self._encoder.take()
        while len(self._content) >= SPAN_BYTES:
            self._spool.append(bytes(RECORD_BYTES) + self._content[:SPAN_BYTES])
            self._content = self._content[SPAN_BYTES:]
            self._spans += 1

    def _template(self, span: int) -> HeaderTemplate:
        return self._packer.addr if span else self._packer.inode

    def _append(self, template: HeaderTemplate, inode: Inode, size: int, data: bytes) -> None:
        """Append a header and its data, filled up to a record."""
        run = RUNS[-(-len(data) // RECORD_BYTES)]
        header = self._header(template, self._spool.length, inode, size, run)
        self._spool.append(header + data + bytes(-len(data) % RECORD_BYTES))

    def _header(
        self, template: HeaderTemplate, place: int, inode: Inode, size: int, run: Run
    ) -> bytearray:
        header = bytearray(RECORD_BYTES)
        record = place // RECORD_BYTES
        template.pack(header, 0, record, self._number, inode=inode, size=size, run=run)
        return header
