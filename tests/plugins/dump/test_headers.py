"""Headers against the worked example of the format's documents, and themselves."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import (
    ADDRESS_COUNT,
    ADDRESSES,
    CHECKSUM,
    FIELDS,
    MAGIC,
    RECORD_BYTES,
    UFS2_FIELDS,
    UFS2_MAGIC,
    BadHeader,
    DumpLabel,
    Field,
    Header,
    HeaderFlag,
    Inode,
    unpack_header,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LABEL = DumpLabel(
    date=0x65000000,
    level=0,
    filesystem=b"/data",
    device_name=b"/dev/vol1",
    host=b"alpha",
    label=b"demo",
)


def sum_of(header: bytes, order: str = "<") -> int:
    return sum(struct.unpack(f"{order}256I", header)) & 0xFFFF_FFFF


def written(
    values: Mapping[str, Any], order: str, fields: Sequence[Field] = FIELDS, magic: int = MAGIC
) -> bytes:
    """A header made field by field, as somebody else's program would."""
    header = bytearray(RECORD_BYTES)
    struct.pack_into(f"{order}I", header, 24, magic)
    for field in fields:
        if field.name in values:
            struct.pack_into(order + field.code, header, field.offset, values[field.name])
    struct.pack_into(f"{order}I", header, 28, (CHECKSUM - sum_of(header, order)) & 0xFFFF_FFFF)
    return bytes(header)


def test_fields_stand_in_the_order_of_the_header_struct() -> None:
    assert (*(field.name for field in FIELDS), "byte_order") == Header._fields


@pytest.mark.parametrize(
    ("order", "checksum"), [("<", "70a5e249"), (">", "a1c030b0")], ids=["little", "big"]
)
def test_worked_example_is_read_in_both_byte_orders(order: str, checksum: str) -> None:
    raw = written(
        {
            "type": 2,
            "date": 0x65000000,
            "volume": 1,
            "record": 7,
            "inode": 3,
            "mode": 0o100640,
            "links": 1,
            "low_uid": 70000 & 0xFFFF,
            "low_gid": 1000,
            "size": 3000,
            "atime_s": 1_600_000_000,
            "atime_us": 123456,
            "mtime_s": 1_600_000_000,
            "mtime_us": 123456,
            "ctime_s": 1_600_000_000,
            "uid": 70000,
            "gid": 1000,
            "address_count": 3,
            "addresses": b"\1\0\1",
            "label": b"demo",
            "filesystem": b"/data",
            "device_name": b"/dev/vol1",
            "host": b"alpha",
            "flags": 2,
            "records_per_block": 10,
        },
        order,
    )
    assert raw[28:32].hex() == checksum
    header = unpack_header(raw)
    assert header.byte_order == order
    assert (header.inode, header.size, header.uid, header.gid) == (3, 3000, 70000, 1000)
    assert (header.mtime_s, header.mtime_us) == (1_600_000_000, 123456)
    assert (header.present, header.data_records) == (b"\1\0\1", 2)
    assert (header.label, header.filesystem, header.host) == (b"demo", b"/data", b"alpha")


@pytest.mark.requirement("R232")
def test_inode_of_a_status_has_its_owner_rights_and_times(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o640)
    os.utime(file, ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    status = file.stat()
    inode = Inode.of(status, 1_650_000_000)
    assert inode == Inode(
        mode=0o100640,
        links=1,
        uid=os.geteuid(),
        gid=status.st_gid,
        atime_us=1_500_000_000_123_456,
        mtime_us=1_600_000_000_987_654,
        ctime_s=1_650_000_000,
    )


def test_times_outside_of_the_format_become_its_first_or_last_moment() -> None:
    inode = Inode.within(0o100600, 70000, 0, 0, -1, 2**63, -5)
    assert (inode.atime_us, inode.mtime_us, inode.ctime_s) == (0, (1_000_000 << 32) - 1, 0)
    assert inode.links == 0xFFFF


def test_address_count_is_read_alone() -> None:
    header = HeaderPacker(LABEL).bits.bare(1, map_records=77)
    assert ADDRESS_COUNT.unpack(header) == (77,)


@pytest.mark.parametrize("order", ["<", ">"])
def test_ufs2_header_has_wide_times(order: str) -> None:
    base = dict.fromkeys(
        (field.name for field in FIELDS if field.code != "512s" and "s" not in field.code), 0
    )
    low = written(base | {"type": 2, "mode": 0o100600, "size": 5, "uid": 7}, order)
    header = bytearray(low)
    values = {
        "atime_us": 1_000_999,
        "mtime_us": 999_999_999,
        "atime_s": 2**33,
        "mtime_s": -1,
        "date": 2**32 + 1,
        "base_date": 3,
        "record": 4,
        "first_record": 5,
    }
    for field in UFS2_FIELDS:
        struct.pack_into(order + field.code, header, field.offset, values[field.name])
    struct.pack_into(f"{order}II", header, 24, UFS2_MAGIC, 0)
    struct.pack_into(f"{order}I", header, 28, (CHECKSUM - sum_of(header, order)) & 0xFFFF_FFFF)
    found = unpack_header(bytes(header))
    assert (found.magic, found.byte_order, found.size, found.uid) == (UFS2_MAGIC, order, 5, 7)
    assert (found.atime_s, found.atime_us) == (2**33, 1000)
    assert (found.mtime_s, found.mtime_us) == (-1, 999_999)
    assert (found.date, found.base_date, found.record, found.first_record) == (2**32 + 1, 3, 4, 5)
    assert (found.records_per_block, found.attribute_kind) == (0, 0)


def test_leftovers_behind_the_address_count_are_not_data() -> None:
    raw = written({"type": 2, "address_count": 2, "addresses": b"\1\1\1\1"}, "<")
    assert unpack_header(raw).data_records == 2
    hostile = written({"type": 2, "address_count": 2**31 - 1, "addresses": b"\1" * 512}, "<")
    assert unpack_header(hostile).data_records == ADDRESSES
    negative = written({"type": 6, "address_count": -1}, "<")
    assert unpack_header(negative).data_records == 0
    negative = written({"type": 2, "address_count": -1, "addresses": b"\1" * 512}, "<")
    assert unpack_header(negative).data_records == 0


@given(st.binary(max_size=2 * RECORD_BYTES))
def test_anything_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(BadHeader) as refused:
        unpack_header(data)
    assert refused.value.reason in {"length", "magic"}


@given(st.integers(0, RECORD_BYTES * 8 - 1))
def test_one_wrong_bit_is_noticed(bit: int) -> None:
    header = bytearray(HeaderPacker(LABEL).tape.bare(0))
    header[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises(BadHeader) as refused:
        unpack_header(bytes(header))
    assert refused.value.reason in {"magic", "checksum"}


def test_flags_have_the_values_of_the_format() -> None:
    assert int(HeaderFlag.NEW_HEADER | HeaderFlag.NEW_INODE_FORMAT) == 3
    assert HeaderFlag.EXTENDED_ATTRIBUTES == 0x8000
