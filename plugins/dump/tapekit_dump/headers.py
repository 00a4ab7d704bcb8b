"""Record headers of the dump stream: 1,024 bytes that say what follows.

The fields stand in one table with their offsets. Reading takes both byte
orders and both magics; what a writer puts into a header stands here too, and
``header_packing`` packs it. The one rule: nothing that a header claims has
been checked but its checksum.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

__all__ = [
    "ADDRESSES",
    "ADDRESS_COUNT",
    "ATTRIBUTE_KIND",
    "CHECKSUM",
    "FIELDS",
    "LARGE_ATTRIBUTE_KIND",
    "MAGIC",
    "RECORD_BYTES",
    "RUNS",
    "SPAN_BYTES",
    "UFS2_FIELDS",
    "UFS2_MAGIC",
    "BadHeader",
    "DumpLabel",
    "Field",
    "Header",
    "HeaderFlag",
    "HeaderType",
    "Inode",
    "Run",
    "unpack_header",
]

RECORD_BYTES: Final = 1024
"""Everything in a dump stream is a multiple of this."""

ADDRESSES: Final = 512
"""Entries of ``c_addr``: records of content that one header can describe."""

SPAN_BYTES: Final = ADDRESSES * RECORD_BYTES
"""Bytes of content that one header can describe."""

MAGIC: Final = 60012
"""``NFS_MAGIC``: 32-bit times, the form of Linux, NetApp and SPARC."""

UFS2_MAGIC: Final = 0x19540119
"""``FS_UFS2_MAGIC``: 64-bit times, written by FreeBSD."""

CHECKSUM: Final = 84446
"""The sum of the 256 words of a header, modulo 2**32."""

ATTRIBUTE_KIND: Final = 3
"""``c_extattributes`` of a set of Linux extended attributes."""

LARGE_ATTRIBUTE_KIND: Final = 2
"""``c_extattributes`` of a set that only tapekit reads, which its first bytes
tell. Elsewhere it is a resource fork of a Macintosh, which Debian's restore
passes over; a number that it does not know behind a directory never lets it
go on."""

_WORD: Final = 0xFFFF_FFFF
_FARTHEST_S: Final = 2**63 // 10**9 - 10
"""Seconds before and after 1970 that fit into 64 bits as nanoseconds, with what
a header can add to them; files have no times beyond."""

_TIMES: Final = 1_000_000 << 32
"""Microseconds in the range of 32-bit seconds."""


class HeaderType(enum.IntEnum):
    """``c_type``: what a header introduces."""

    TAPE = 1
    INODE = 2
    BITS = 3
    ADDR = 4
    END = 5
    CLRI = 6


class HeaderFlag(enum.IntFlag):
    """``c_flags``. ``NEW_INODE_FORMAT`` counts in the TAPE header alone."""

    NEW_HEADER = 0x0001
    NEW_INODE_FORMAT = 0x0002
    COMPRESSED = 0x0080
    ATTRIBUTES_ONLY = 0x0100
    EXTENDED_ATTRIBUTES = 0x8000


class Field(NamedTuple):
    """One field of the header: its place and its form as in :mod:`struct`."""

    name: str
    offset: int
    code: str


FIELDS: Final = (
    Field("type", 0, "i"),
    Field("date", 4, "i"),
    Field("base_date", 8, "i"),
    Field("volume", 12, "i"),
    Field("record", 16, "I"),
    Field("inode", 20, "I"),
    Field("magic", 24, "I"),
    Field("checksum", 28, "I"),
    Field("mode", 32, "H"),
    Field("links", 34, "H"),
    Field("low_uid", 36, "H"),
    Field("low_gid", 38, "H"),
    Field("size", 40, "q"),
    Field("atime_s", 48, "I"),
    Field("atime_us", 52, "I"),
    Field("mtime_s", 56, "I"),
    Field("mtime_us", 60, "I"),
    Field("ctime_s", 64, "I"),
    Field("ctime_us", 68, "I"),
    Field("device", 72, "I"),
    Field("wide_device", 76, "I"),
    Field("inode_flags", 132, "I"),
    Field("blocks", 136, "i"),
    Field("generation", 140, "i"),
    Field("uid", 144, "I"),
    Field("gid", 148, "I"),
    Field("address_count", 160, "i"),
    Field("addresses", 164, "512s"),
    Field("label", 676, "16s"),
    Field("level", 692, "i"),
    Field("filesystem", 696, "64s"),
    Field("device_name", 760, "64s"),
    Field("host", 824, "64s"),
    Field("flags", 888, "i"),
    Field("first_record", 892, "i"),
    Field("records_per_block", 896, "i"),
    Field("attribute_kind", 900, "i"),
)
"""A 60012 header. The rest is zeros, or block numbers that nobody uses."""

UFS2_FIELDS: Final = (
    Field("atime_us", 52, "I"),
    Field("mtime_us", 60, "I"),
    Field("atime_s", 88, "q"),
    Field("mtime_s", 96, "q"),
    Field("date", 896, "q"),
    Field("base_date", 904, "q"),
    Field("record", 912, "q"),
    Field("first_record", 920, "q"),
)
"""What a UFS2 header has elsewhere. Its ``_us`` fields hold nanoseconds."""


def _layout(order: str, fields: Iterable[Field]) -> struct.Struct:
    """The fields as one struct of a whole header, with gaps between them."""
    text, end = order, 0
    for field in fields:
        text += f"{field.offset - end}x{field.code}"
        end = field.offset + struct.calcsize(order + field.code)
    return struct.Struct(text + f"{RECORD_BYTES - end}x")


_ORDERS: Final[Mapping[str, Literal["little", "big"]]] = {"<": "little", ">": "big"}
_READERS: Final = {order: _layout(order, FIELDS) for order in _ORDERS}
_UFS2_READERS: Final = {order: _layout(order, UFS2_FIELDS) for order in _ORDERS}
_WORDS: Final = {order: struct.Struct(f"{order}256I") for order in _ORDERS}
_MAGICS: Final = {
    magic.to_bytes(4, name): (order, magic)
    for order, name in _ORDERS.items()
    for magic in (MAGIC, UFS2_MAGIC)
}


ADDRESS_COUNT: Final = struct.Struct("<160xi860x")
"""Reads ``c_count`` alone from a little-endian header."""


class BadHeader(ValueError):
    """A record is no header, or a damaged one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason
        """``length``, ``magic`` or ``checksum``."""


class Header(NamedTuple):
    """A header as it was read, in the host's byte order.

    Dates and times are seconds since 1970; texts end before their NUL.
    """

    type: int
    """A :class:`HeaderType`, or anything."""
    date: int
    """When the dump was taken; the same in all headers of a dump."""
    base_date: int
    """The date of the dump that this one builds on; 0 for a full one."""
    volume: int
    record: int
    """Running number of this record in the dump, modulo 2**32."""
    inode: int
    magic: int
    checksum: int
    mode: int
    links: int
    low_uid: int
    """The user, if the TAPE header lacks ``NEW_INODE_FORMAT``."""
    low_gid: int
    size: int
    """Bytes of content; may be negative, since nobody has checked it."""
    atime_s: int
    atime_us: int
    mtime_s: int
    mtime_us: int
    ctime_s: int
    ctime_us: int
    device: int
    """``db[0]``: the number of a device."""
    wide_device: int
    """``db[1]``: where Debian's dump leaves wide device numbers."""
    inode_flags: int
    blocks: int
    generation: int
    uid: int
    gid: int
    address_count: int
    """``c_count``: entries of ``c_addr`` in use, or records of a map."""
    addresses: bytes
    """All 512 bytes of ``c_addr``; those not in use are leftovers."""
    label: bytes
    level: int
    filesystem: bytes
    device_name: bytes
    host: bytes
    flags: int
    first_record: int
    records_per_block: int
    attribute_kind: int
    byte_order: str
    """``<`` or ``>``, as in :mod:`struct`."""

    @property
    def present(self) -> bytes:
        """One byte for each record of content: 0 is a hole."""
        return self.addresses[: max(0, self.address_count)]

    @property
    def data_records(self) -> int:
        """How many records follow; the count of a map is not limited."""
        if self.type in (HeaderType.INODE, HeaderType.ADDR):
            present = self.present
            return len(present) - present.count(0)
        if self.type in (HeaderType.CLRI, HeaderType.BITS):
            return max(0, self.address_count)
        return 0

    @property
    def has_attributes(self) -> bool:
        """Whether it introduces a set of attributes instead of an object."""
        return bool(self.flags & HeaderFlag.EXTENDED_ATTRIBUTES)


def unpack_header(view: memoryview | bytes) -> Header:
    """Read one record as a header, in whichever byte order it is.

    :raises BadHeader: it is not a record long, its magic is none of the two,
        or its checksum does not fit.
    """
    if len(view) != RECORD_BYTES:
        raise BadHeader("length")
    order, magic = _MAGICS.get(bytes(view[24:28]), ("", 0))
    if not order:
        raise BadHeader("magic")
    if sum(_WORDS[order].unpack(view)) & _WORD != CHECKSUM:
        raise BadHeader("checksum")
    header = Header._make((*_READERS[order].unpack(view), order))
    header = header._replace(
        label=_text(header.label),
        filesystem=_text(header.filesystem),
        device_name=_text(header.device_name),
        host=_text(header.host),
    )
    return _with_ufs2_fields(header, view) if magic == UFS2_MAGIC else header


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _with_ufs2_fields(header: Header, view: memoryview | bytes) -> Header:
    values = _UFS2_READERS[header.byte_order].unpack(view)
    found = {field.name: value for field, value in zip(UFS2_FIELDS, values, strict=True)}
    found["atime_us"] //= 1000
    found["mtime_us"] //= 1000
    for name in ("atime_s", "mtime_s"):
        found[name] = max(-_FARTHEST_S, min(found[name], _FARTHEST_S))
    # The wide date begins where Linux keeps these two.
    return header._replace(**found, records_per_block=0, attribute_kind=0)


class Run(NamedTuple):
    """The ``c_addr`` of a header, and what it and ``c_count`` add to the
    checksum.
    """

    addresses: bytes
    used: int
    sum: int

    @classmethod
    def of(cls, addresses: bytes) -> Run:
        """A run of up to 512 bytes: 1 is data, 0 is a hole."""
        words = struct.unpack(f"<{ADDRESSES // 4}I", addresses.ljust(ADDRESSES, b"\0"))
        return cls(addresses, len(addresses), sum(words) + len(addresses))


RUNS: Final = tuple(Run.of(b"\1" * count) for count in range(ADDRESSES + 1))
"""Runs without holes, by their number of records."""


class Inode(NamedTuple):
    """Attributes of an object as a header carries them; times since 1970."""

    mode: int
    links: int
    uid: int
    gid: int
    atime_us: int
    mtime_us: int
    ctime_s: int
    device: int = 0
    """Number of a device: minor bits 0-7, major 8-19, minor 8-19 from 20."""
    flags: int = 0

    @classmethod
    def of(cls, status: os.stat_result, ctime_s: int) -> Inode:
        """The attributes of a status, as :meth:`within` takes them."""
        mode, _, _, links, uid, gid, _, _, _, _ = status
        atime_ns, mtime_ns = status.st_atime_ns, status.st_mtime_ns
        device = status.st_rdev & _WORD
        return cls.within(mode, links, uid, gid, atime_ns, mtime_ns, ctime_s, device)

    @classmethod
    def within(
        cls,
        mode: int,
        links: int,
        uid: int,
        gid: int,
        atime_ns: int,
        mtime_ns: int,
        ctime_s: int,
        device: int = 0,
    ) -> Inode:
        """The attributes as far as the format can tell them: times before
        1970 or after 2106 become its first or last moment.
        """
        return cls(
            mode,
            min(links, 0xFFFF),
            uid,
            gid,
            min(max(0, atime_ns // 1000), _TIMES - 1),
            min(max(0, mtime_ns // 1000), _TIMES - 1),
            min(max(0, ctime_s), _WORD),
            device,
        )


class DumpLabel(NamedTuple):
    """What all headers of a dump have in common."""

    date: int
    """Seconds since 1970, below 2**31."""
    level: int
    filesystem: bytes
    device_name: bytes
    host: bytes
    label: bytes = b"none"
    records_per_block: int = 10
    base_date: int = 0
