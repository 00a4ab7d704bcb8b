"""Packing headers, little-endian 60012, as a dump needs them by the million.

The constant part of each kind of header is ready packed, so that a header
costs a copy and one call of :mod:`struct`. The checksum is added up from the
values, which takes less than half of summing 256 words. The one rule: both
ways of packing give the same bytes for the same object.
"""

from __future__ import annotations

import struct
from typing import Final, final

from tapekit_dump.attributes import is_large_set
from tapekit_dump.headers import (
    ATTRIBUTE_KIND,
    CHECKSUM,
    FIELDS,
    LARGE_ATTRIBUTE_KIND,
    MAGIC,
    RECORD_BYTES,
    DumpLabel,
    HeaderFlag,
    HeaderType,
    Inode,
    Run,
)

__all__ = ["HeaderPacker", "HeaderTemplate", "rebase_header"]

_WORD: Final = 0xFFFF_FFFF
_SECOND_NS: Final = 1_000_000_000
_WORDS: Final = struct.Struct("<256I")
_NOBODY: Final = Inode(mode=0, links=0, uid=0, gid=0, atime_us=0, mtime_us=0, ctime_s=0)

_BODY: Final = struct.Struct("<6I Q 8I 52x I 8x II 8x i 512s")
"""The fields from ``record`` to ``addresses``; ids and mode in pairs."""

_BODY_OFFSET: Final = 16
_PLACES: Final = {field.name: field for field in FIELDS}


@final
class HeaderTemplate:
    """Packs headers of one kind for one dump: all that is constant is ready."""

    def __init__(self, label: DumpLabel, kind: HeaderType, flags: int, attribute_kind: int) -> None:
        constant = bytearray(RECORD_BYTES)
        values = {
            "type": kind,
            "date": label.date,
            "base_date": label.base_date,
            "volume": 1,
            "magic": MAGIC,
            "label": label.label[:15],
            "level": label.level,
            "filesystem": label.filesystem[:63],
            "device_name": label.device_name[:63],
            "host": label.host[:63],
            "flags": flags,
            "records_per_block": label.records_per_block,
            "attribute_kind": attribute_kind,
        }
        for name, value in values.items():
            field = _PLACES[name]
            struct.pack_into("<" + field.code, constant, field.offset, value)
        self.constant: Final = bytes(constant)
        """A header without what differs from object to object."""
        self.rest_of_sum: Final = CHECKSUM - sum(_WORDS.unpack(constant))
        """What the words that differ must add up to, checksum included."""

    def pack_regular(
        self,
        into: memoryview,
        at: int,
        record: int,
        number: int,
        run: Run,
        mode: int,
        links: int,
        uid: int,
        gid: int,
        size: int,
        atime_ns: int,
        mtime_ns: int,
        ctime_s: int,
    ) -> None:
        """Pack the header of a regular file: the same bytes as :meth:`pack`
        gives, in half of its time.

        :param record: running number of the record in the dump.
        :param number: the object's number in the dump.
        """
        kind = mode | links << 16
        ids = (uid & 0xFFFF) | (gid & 0xFFFF) << 16
        atime_s, atime_part = divmod(atime_ns, _SECOND_NS)
        mtime_s, mtime_part = divmod(mtime_ns, _SECOND_NS)
        atime_us, mtime_us = atime_part // 1000, mtime_part // 1000
        addresses, used, run_sum = run
        record &= _WORD
        checksum = (
            self.rest_of_sum
            - (record + number + kind + run_sum + size + (size >> 32) + atime_us + mtime_us)
            - (ids + uid + gid + atime_s + mtime_s + ctime_s)
        ) & _WORD
        into[at : at + RECORD_BYTES] = self.constant
        try:
            _BODY.pack_into(
                into, at + _BODY_OFFSET,
                record, number, MAGIC, checksum, kind, ids, size, atime_s, atime_us,
                mtime_s, mtime_us, ctime_s, 0, 0, 0, 0, uid, gid, used, addresses,
            )  # fmt: skip
        except struct.error:
            # A time or a link count that the format lacks.
            inode = Inode.within(mode, links, uid, gid, atime_ns, mtime_ns, ctime_s)
            self.pack(into, at, record, number, inode=inode, size=size, run=run)

    def pack(
        self,
        into: memoryview | bytearray,
        at: int,
        record: int,
        number: int,
        *,
        inode: Inode,
        size: int,
        run: Run,
    ) -> None:
        """Pack the header of any object."""
        values = (
            inode.mode | inode.links << 16,
            (inode.uid & 0xFFFF) | (inode.gid & 0xFFFF) << 16,
            size,
            *divmod(inode.atime_us, 1_000_000),
            *divmod(inode.mtime_us, 1_000_000),
            inode.ctime_s,
            0,
            inode.device,
            0,
            inode.flags,
            inode.uid,
            inode.gid,
        )
        place = (record & _WORD, number, MAGIC)
        checksum = self.rest_of_sum - record - number - sum(values) - (size >> 32) - run.sum
        into[at : at + RECORD_BYTES] = self.constant
        _BODY.pack_into(
            into, at + _BODY_OFFSET,
            *place, checksum & _WORD, *values, run.used, run.addresses,
        )  # fmt: skip

    def bare(self, record: int, number: int = 0, map_records: int = 0) -> bytes:
        """The header of something without attributes, such as a map."""
        into = bytearray(RECORD_BYTES)
        run = Run(b"", map_records, map_records)
        self.pack(into, 0, record, number, inode=_NOBODY, size=0, run=run)
        return bytes(into)


@final
class HeaderPacker:
    """The headers of one dump, a template for each kind."""

    def __init__(self, label: DumpLabel) -> None:
        def template(kind: HeaderType, flags: int = 0, attribute_kind: int = 0) -> HeaderTemplate:
            flags |= HeaderFlag.NEW_INODE_FORMAT
            return HeaderTemplate(label, kind, flags, attribute_kind)

        self.tape: Final = template(HeaderType.TAPE, HeaderFlag.NEW_HEADER)
        self.clri: Final = template(HeaderType.CLRI)
        self.bits: Final = template(HeaderType.BITS)
        self.inode: Final = template(HeaderType.INODE)
        self.addr: Final = template(HeaderType.ADDR)
        self.attributes: Final = template(
            HeaderType.INODE, HeaderFlag.EXTENDED_ATTRIBUTES, ATTRIBUTE_KIND
        )
        self.large_attributes: Final = template(
            HeaderType.INODE, HeaderFlag.EXTENDED_ATTRIBUTES, LARGE_ATTRIBUTE_KIND
        )
        self.end: Final = template(HeaderType.END)

    def set_template(self, blob: bytes) -> HeaderTemplate:
        """The header that a set of extended attributes stands behind."""
        return self.large_attributes if is_large_set(blob) else self.attributes


_RECORD: Final = struct.Struct("<I")


def rebase_header(buffer: memoryview | bytearray, at: int, by: int) -> None:
    """Add ``by`` to the record number of a little-endian header in place."""
    record = _RECORD.unpack_from(buffer, at + 16)[0]
    checksum = _RECORD.unpack_from(buffer, at + 28)[0]
    moved = (record + by) & _WORD
    _RECORD.pack_into(buffer, at + 16, moved)
    _RECORD.pack_into(buffer, at + 28, (checksum - (moved - record)) & _WORD)
