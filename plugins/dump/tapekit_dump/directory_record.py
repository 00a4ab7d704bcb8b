"""One directory as it will stand in the stream, built in the spool.

Content comes in slices of any number, so headers are written when their
content is complete and patched once the whole size is known. Record numbers
count from the spool's beginning and are shifted when it is copied to the
stream. The one rule: a directory has one set of attributes, since restore
keeps only the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_dump.directories import DirectoryEncoder
from tapekit_dump.headers import RECORD_BYTES, RUNS, SPAN_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit_dump.headers import HeaderPacker, HeaderTemplate, Inode
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
        self._content = bytearray()
        self._size = 0

    def add(self, entries: Iterable[tuple[int, int, bytes]]) -> list[int]:
        """Append entries: number, type, name.

        :returns: where in the spool the numbers are missing of those that
            were added with 0.
        """
        self._encoder.add(entries)
        missing = [self._place(offset) for offset in self._encoder.unnumbered]
        self._encoder.unnumbered.clear()
        self._content += self._encoder.take()
        while len(self._content) >= SPAN_BYTES:
            self._write_span()
        return missing

    def finish(self, inode: Inode, sets: Iterable[bytes]) -> None:
        """Complete the record with the directory's attributes."""
        self._content += self._encoder.finish()
        while self._content:
            self._write_span()
        for place, template, header_content in self._headers():
            run = RUNS[-(-header_content // RECORD_BYTES)]
            header = self._pack(template, place, inode, self._size, run_records=run.used)
            self._spool.patch(place, header)
        for blob in sets:
            self._write_set(inode, blob)

    def _place(self, offset: int) -> int:
        """Where a byte of the content is in the spool."""
        spans, rest = divmod(offset, SPAN_BYTES)
        return self._start + spans * (RECORD_BYTES + SPAN_BYTES) + RECORD_BYTES + rest

    def _write_span(self) -> None:
        """Append the next content behind an empty header."""
        span = bytes(self._content[:SPAN_BYTES])
        del self._content[:SPAN_BYTES]
        self._spool.append(bytes(RECORD_BYTES) + span + bytes(-len(span) % RECORD_BYTES))
        self._size += len(span)

    def _headers(self) -> Iterator[tuple[int, HeaderTemplate, int]]:
        """Each header's place, kind and bytes of content."""
        template = self._packer.inode
        for offset in range(0, self._size, SPAN_BYTES):
            place = self._place(offset) - RECORD_BYTES
            yield place, template, min(self._size - offset, SPAN_BYTES)
            template = self._packer.addr

    def _write_set(self, inode: Inode, blob: bytes) -> None:
        records = -(-len(blob) // RECORD_BYTES)
        place = self._spool.length
        header = self._pack(self._packer.attributes, place, inode, len(blob), run_records=records)
        self._spool.append(header + blob + bytes(-len(blob) % RECORD_BYTES))

    def _pack(
        self, template: HeaderTemplate, place: int, inode: Inode, size: int, *, run_records: int
    ) -> bytes:
        header = bytearray(RECORD_BYTES)
        record = place // RECORD_BYTES
        run = RUNS[run_records]
        template.pack(header, 0, record, self._number, inode=inode, size=size, run=run)
        return bytes(header)
