"""Headers of a dump stream in order, from a stream that nobody vouches for.

Each header is checked for its checksum, for the dump that it belongs to and
for claims that cannot be true; after a damaged one the reader looks record
by record for the next that holds, and tells how much it passed over. Headers
have numbers, which tell of whole records that a tape swallowed or gave twice.
The one rule: what is given out has counts and sizes within the format's limits,
so that nobody behind it allocates or loops by a number from the tape.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from tapekit.streams import EndOfStream
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import (
    ADDRESSES,
    CHECKSUM,
    FIELDS,
    MAGIC,
    RECORD_BYTES,
    BadHeader,
    Header,
    HeaderType,
    unpack_header,
)
from tapekit_dump.recover_volumes import JoinedVolumes, may_have_volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.streams import StreamReader
    from tapekit_dump.recover_volumes import RecordStream

__all__ = ["Damage", "HeaderReader", "RecordReader"]

_MAP_RECORDS_LIMIT: Final = 2**32 // (8 * RECORD_BYTES)
"""Records of a map of all the inode numbers that the format has."""

_FIRST_HEADER_WITHIN: Final = 64
"""A damaged beginning is passed over if a header stands within so many
records; a stream without one there is something else than a dump."""

# Plain numbers, since these are looked up for each header of a stream.
_WITH_CONTENT: Final = frozenset({int(HeaderType.INODE), int(HeaderType.ADDR)})
_MAPS: Final = frozenset({int(HeaderType.CLRI), int(HeaderType.BITS)})
_BARE: Final = frozenset({int(HeaderType.TAPE), int(HeaderType.END)})

_TAIL: Final = next(field.offset for field in FIELDS if field.name == "addresses")
"""Where the part of a header begins that most headers of a dump share."""

_HEAD_FIELDS: Final = tuple(field for field in FIELDS if field.offset < _TAIL)
_MAGIC_AT: Final = Header._fields.index("magic")
_TAIL_AT: Final = Header._fields.index("addresses")
_REMEMBERED: Final = 1024
_WORD: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31


class Damage(NamedTuple):
    """A part of the stream that could not be read, in bytes."""

    offset: int
    length: int
    reason: str


@final
class HeaderReader:
    """Reads the headers of one dump at a third of the cost of
    :func:`unpack_header`, with the same result.

    Most headers of a dump end alike: a run of ones, and the label. What the
    last 860 bytes mean, and what they add to the checksum, is remembered;
    the first 164 alone are read anew.
    """

    def __init__(self, byte_order: str, magic: int) -> None:
        self._byte_order: Final = byte_order
        self._magic: Final = magic
        self._head: Final = struct.Struct(byte_order + _codes_of_head())
        self._words: Final = struct.Struct(f"{byte_order}{_TAIL // 4}I")
        self._known: Final[dict[bytes, tuple[int, tuple[Any, ...]]]] = {}

    def read(self, view: memoryview) -> Header:
        """The header in a record of this dump.

        :raises BadHeader: as :func:`unpack_header`; also if the record is a
            header in another byte order or form.
        """
        known = self._known.get(tail := bytes(view[_TAIL:]))
        if known is None:
            return self._learn(view, tail)
        tail_sum, tail_fields = known
        fields = self._head.unpack_from(view)
        if fields[_MAGIC_AT] != MAGIC:
            raise BadHeader("magic")
        if (sum(self._words.unpack_from(view)) + tail_sum) & _WORD != CHECKSUM:
            raise BadHeader("checksum")
        # As Header(*fields, *tail_fields), in half the time.
        return tuple.__new__(Header, fields + tail_fields)

    def _learn(self, view: memoryview, tail: bytes) -> Header:
        header = unpack_header(view)
        if (header.byte_order, header.magic) != (self._byte_order, self._magic):
            raise BadHeader("magic")
        if header.magic == MAGIC:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            tail_sum = CHECKSUM - sum(self._words.unpack_from(view))
            self._known[tail] = tail_sum, header[_TAIL_AT:]
        return header


def _codes_of_head() -> str:
    """The first fields as codes of :mod:`struct`, with the gaps between."""
    text, end = "", 0
    for field in _HEAD_FIELDS:
        text += f"{field.offset - end}x{field.code}"
        end = field.offset + struct.calcsize("=" + field.code)
    return text


@final
class RecordReader:
    """Gives the headers of a dump stream; what stands between them is the
    caller's to take from :attr:`stream`.

    :param on_damage: hears of each part that was passed over.
    """

    def __init__(self, stream: StreamReader, on_damage: Callable[[Damage], None]) -> None:
        self.stream: RecordStream = stream
        """Not to be kept before :meth:`first`, which may put another here."""
        self._source: Final = stream
        self.damages = 0
        """How many parts were passed over so far."""
        self._on_damage: Final = on_damage
        self._headers: HeaderReader
        self._date = 0
        self._ahead = 0
        """By how much the numbers of headers are ahead of their places."""
        self._is_numbered = False
        """Whether two headers have agreed on that; some programs write zeros."""

    def first(self) -> Header:
        """The first header, which settles byte order, form and date; a TAPE
        header unless that one is damaged.

        :raises TapekitError: the stream is no dump, or empty.
        """
        for index in range(_FIRST_HEADER_WITHIN):
            try:
                header = unpack_header(self.stream.take(RECORD_BYTES))
            except BadHeader:
                continue
            except EndOfStream:
                break
            if _is_plausible(header):
                return self._settle(header, index * RECORD_BYTES)
        raise CATALOGUE.error("not-a-dump", length=self._source.position)

    def here(self) -> Header:
        """The header that the stream stands at, somewhere in the dump, which
        settles the same.

        :raises BadHeader: there is none.
        :raises EndOfStream: the stream ends before.
        """
        header = unpack_header(self.stream.take(RECORD_BYTES))
        if not _is_plausible(header):
            raise BadHeader("content")
        return self._settle(header, 0)

    def next(self) -> Header:
        """The next header that holds.

        :raises EndOfStream: there is none; what was passed over on the way
            has been told.
        """
        view = self.stream.take(RECORD_BYTES)
        try:
            header = self._headers.read(view)
        except BadHeader as bad:
            return self._resynchronise(f"{bad.reason} of the header")
        if header.date != self._date:
            return self._resynchronise("date of the header")
        if not _is_plausible(header):
            return self._resynchronise("content of the header")
        if header.record - self._source.position // RECORD_BYTES == self._ahead:
            self._is_numbered = True
        else:
            self._tell_jump(self._ahead_of_place(header))
        return header

    def skip_content(self, header: Header) -> None:
        """Pass over the records that belong to a header.

        :raises EndOfStream: they are not all there.
        """
        self.stream.skip(header.data_records * RECORD_BYTES)

    def _settle(self, header: Header, passed_over: int) -> Header:
        self._headers = HeaderReader(header.byte_order, header.magic)
        self._date = header.date
        self._ahead = self._ahead_of_place(header)
        if passed_over:
            self._tell(0, "beginning")
        elif may_have_volumes(header):
            self.stream = JoinedVolumes(self._source, header)
        return header

    def _resynchronise(self, reason: str) -> Header:
        """Pass over records up to the next header that holds."""
        start = self._source.position - RECORD_BYTES
        try:
            while True:
                header = self._try(self.stream.take(RECORD_BYTES))
                if header is not None:
                    self._ahead = self._ahead_of_place(header)
                    self._tell(start, reason)
                    return header
        except EndOfStream:
            self._tell(start, reason, to_the_end=True)
            raise

    def _try(self, view: memoryview) -> Header | None:
        try:
            header = self._headers.read(view)
        except BadHeader:
            return None
        return header if header.date == self._date and _is_plausible(header) else None

    def _ahead_of_place(self, header: Header) -> int:
        """For a header that has just been taken."""
        return header.record - self._source.position // RECORD_BYTES

    def _tell_jump(self, ahead: int) -> None:
        """Tell of records that are missing right before the present header,
        or do not belong there.
        """
        # Numbers begin again at 2**32.
        jump = (ahead - self._ahead + _HALF & _WORD) - _HALF
        self._ahead = ahead
        if not (jump and self._is_numbered):
            return
        here, length = self._source.position - RECORD_BYTES, abs(jump) * RECORD_BYTES
        self.damages += 1
        if jump > 0:
            self._on_damage(Damage(here, length, "records are missing here"))
        else:
            self._on_damage(Damage(max(0, here - length), length, "more records than there were"))

    def _tell(self, start: int, reason: str, *, to_the_end: bool = False) -> None:
        end = self._source.position - (0 if to_the_end else RECORD_BYTES)
        self.damages += 1
        self._on_damage(Damage(start, end - start, reason))


def _is_plausible(header: Header) -> bool:
    """Whether a header claims nothing that no dump can hold."""
    kind, count = header.type, header.address_count
    if kind in _WITH_CONTENT:
        return 0 <= count <= ADDRESSES and header.size >= 0 and header.inode > 1
    if kind in _MAPS:
        return 0 <= count <= _MAP_RECORDS_LIMIT
    return kind in _BARE
