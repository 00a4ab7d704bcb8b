"""What belongs to one object of the stream: content, continuations, sets.

An object is an INODE header with its records, any number of ADDR headers
with theirs, and any number of attribute sets. Whoever restores it takes the
records of each span; this module finds where the object ends. The one rule:
an object whose spans have been given is left with the stream at the next
header, known as ``following``, or at the stream's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import (
    ATTRIBUTE_KIND,
    LARGE_ATTRIBUTE_KIND,
    RECORD_BYTES,
    HeaderFlag,
    HeaderType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.headers import Header
    from tapekit_dump.reading import RecordReader
    from tapekit_dump.recover_findings import Findings

__all__ = ["ObjectContent"]

_HAS_ATTRIBUTES: Final = int(HeaderFlag.EXTENDED_ATTRIBUTES)
_KINDS: Final = frozenset({ATTRIBUTE_KIND, LARGE_ATTRIBUTE_KIND})
_SET_RECORDS_LIMIT: Final = 66
"""Records of an attribute set: the largest value that Linux has, and its name."""

_SETS_LIMIT: Final = 9_362
"""Attribute sets of an object: Linux lists 64 KiB of names, each of seven
bytes or more."""

_SETS_BYTES_LIMIT: Final = 256 << 20
"""Bytes of them that are kept in memory together."""


@final
class ObjectContent:
    """The content of the object whose header was read last."""

    __slots__ = (
        "_damages",
        "_findings",
        "_records",
        "following",
        "header",
        "is_cut",
        "is_doubtful",
        "offset",
    )

    def __init__(self, records: RecordReader, header: Header, findings: Findings) -> None:
        self._records = records
        self._findings = findings
        self._damages = records.damages
        self.header = header
        self.following: Header | None = None
        """The header behind what has been taken, ``None`` at the end of the
        stream; valid once all spans have been taken."""
        self.offset = 0
        """How much of the content the spans taken so far describe, in bytes."""
        self.is_cut = False
        """Whether the stream was damaged, or ended, in or right behind what
        has been taken."""
        self.is_doubtful = False
        """Whether it was damaged right behind the last span, so that nothing
        tells whether the records of that span were the right ones."""

    @classmethod
    def behind(
        cls, records: RecordReader, header: Header, following: Header, findings: Findings
    ) -> ObjectContent:
        """An object whose first span has been taken, with the header behind
        it, which may be a continuation that the object does not need.
        """
        content = cls(records, header, findings)
        content.following = following
        extra: Header | None = following
        while extra is not None and content._is_continuation(extra):
            content._pass_over(extra)
            extra = content.following
        return content

    def spans(self) -> Iterator[bytes]:
        """For each header of the object its ``c_addr``; the stream stands at
        its records, all of which must be taken before the next span.

        There are no more spans after damage, since nothing tells how much of
        the content is missing.
        """
        header: Header | None = self.header
        while header is not None:
            present = header.present
            yield present
            self.offset += len(present) * RECORD_BYTES
            self._advance()
            self.is_doubtful = self._records.damages != self._damages
            header = self._next_continuation()

    def end_of_stream(self) -> None:
        """Tell that the stream ended within a span."""
        self.is_cut = True
        self.following = None

    def pass_over(self) -> None:
        """Take nothing of the object and none of its sets."""
        self._pass_over(self.header)
        while (header := self.following) is not None and (
            self._is_continuation(header) or self._is_set(header)
        ):
            self._pass_over(header)

    def take_all(self, limit: int) -> bytes | None:
        """The content without its holes; ``None`` if its size is above
        ``limit`` or it is not all there.
        """
        content = bytearray()
        try:
            for present in self.spans():
                count = (len(present) - present.count(0)) * RECORD_BYTES
                content += self._records.stream.take(count)[: max(0, limit - len(content))]
        except EndOfStream:
            self.end_of_stream()
        size = self.header.size
        return bytes(content[:size]) if size <= min(limit, len(content)) else None

    def take_sets(self) -> list[bytes]:
        """The attribute sets behind the content."""
        sets: list[bytes] = []
        room = _SETS_BYTES_LIMIT
        while (header := self.following) is not None and self._is_set(header):
            reason = _objection(header)
            room -= header.data_records * RECORD_BYTES
            if len(sets) == _SETS_LIMIT or room < 0:
                reason = "no object has so many"
            if reason is None:
                self._take_set(header, sets)
            else:
                self._findings.warn(
                    CATALOGUE.error("attributes-passed-over", inode=header.inode, reason=reason)
                )
                self._pass_over(header)
        return sets

    def _take_set(self, header: Header, sets: list[bytes]) -> None:
        try:
            data = self._records.stream.take(header.data_records * RECORD_BYTES)
        except EndOfStream:
            self.end_of_stream()
            return
        sets.append(bytes(data[: header.size]))
        self._advance()

    def _advance(self) -> None:
        try:
            self.following = self._records.next()
        except EndOfStream:
            self.end_of_stream()
        else:
            self.is_cut = self.is_cut or self._records.damages != self._damages

    def _next_continuation(self) -> Header | None:
        """The next header, if it goes on with the content; what does so
        after damage is passed over.
        """
        while (header := self.following) is not None and self._is_continuation(header):
            if not self.is_cut:
                return header
            self._pass_over(header)
        return None

    def _pass_over(self, header: Header) -> None:
        try:
            self._records.skip_content(header)
        except EndOfStream:
            self.end_of_stream()
        else:
            self._advance()

    def _is_continuation(self, header: Header) -> bool:
        return header.type == HeaderType.ADDR and header.inode == self.header.inode

    def _is_set(self, header: Header) -> bool:
        return (
            header.inode == self.header.inode
            and header.type == HeaderType.INODE
            and header.flags & _HAS_ATTRIBUTES != 0
        )


def _objection(header: Header) -> str | None:
    """Why an attribute set is not even looked at."""
    if header.attribute_kind not in _KINDS:
        return f"their kind is {header.attribute_kind}, not {ATTRIBUTE_KIND}"
    records = header.data_records
    if records > _SET_RECORDS_LIMIT or header.size > records * RECORD_BYTES:
        return f"{header.size} bytes in {records} records is no size of theirs"
    return None
