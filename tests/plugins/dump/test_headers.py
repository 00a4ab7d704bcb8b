"""Headers against the worked example of the format's documents, and themselves."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.headers import (
    ADDRESS_COUNT,
    ADDRESSES,
    CHECKSUM,
    FIELDS,
    MAGIC,
    RECORD_BYTES,
    RUNS,
    UFS2_FIELDS,
    UFS2_MAGIC,
    BadHeader,
    DumpLabel,
    Field,
    Header,
    HeaderFlag,
    HeaderPacker,
    HeaderType,
    Inode,
    Run,
    rebase_header,
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
MICROSECONDS = st.integers(0, (1_000_000 << 32) - 1)
NUMBERS = st.integers(0, 2**32 - 1)
INODES = st.builds(
    Inode,
    mode=st.integers(0, 0xFFFF),
    links=st.integers(0, 0xFFFF),
    uid=NUMBERS,
    gid=NUMBERS,
    atime_us=MICROSECONDS,
    mtime_us=MICROSECONDS,
    ctime_s=NUMBERS,
    device=NUMBERS,
    flags=NUMBERS,
)
RUNS_OF_ANY_KIND = st.lists(st.sampled_from((0, 1)), max_size=ADDRESSES).map(
    lambda flags: Run.of(bytes(flags))
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


def test_tape_header_is_that_of_the_worked_example() -> None:
    header = HeaderPacker(LABEL).tape.bare(0)
    assert header[:32].hex(" ", 4) == (
        "01000000 00000065 00000000 01000000 00000000 00000000 6cea0000 1e4eec6b"
    )
    assert header[0x378:0x388].hex(" ", 4) == "03000000 00000000 0a000000 00000000"
    assert header[676:681] == b"demo\0"
    assert header[696:702] == b"/data\0"


def test_inode_header_is_that_of_the_worked_example() -> None:
    header = bytearray(RECORD_BYTES)
    inode = Inode(
        mode=0o100640,
        links=1,
        uid=70000,
        gid=1000,
        atime_us=1_600_000_000_123_456,
        mtime_us=1_600_000_000_123_456,
        ctime_s=1_600_000_000,
    )
    packer = HeaderPacker(LABEL).inode
    packer.pack(header, 0, 7, 3, inode=inode, size=3000, run=Run.of(b"\1\0\1"))
    assert header[16:48].hex(" ", 4) == (
        "07000000 03000000 6cea0000 70a5e249 a0810100 7011e803 b80b0000 00000000"
    )
    assert header[48:72].hex(" ", 4) == "00105e5f 40e20100 00105e5f 40e20100 00105e5f 00000000"
    assert header[144:152].hex(" ", 4) == "70110100 e8030000"
    assert header[160:167].hex() == "03000000010001"


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


@given(
    record=st.integers(0, 2**40),
    number=NUMBERS,
    inode=INODES,
    size=st.integers(0, 2**62),
    run=RUNS_OF_ANY_KIND,
)
def test_packed_header_is_read_back(
    record: int, number: int, inode: Inode, size: int, run: Run
) -> None:
    buffer = bytearray(b"\xee" * 3 * RECORD_BYTES)
    HeaderPacker(LABEL).addr.pack(
        buffer, RECORD_BYTES, record, number, inode=inode, size=size, run=run
    )
    assert buffer[:RECORD_BYTES] == buffer[2 * RECORD_BYTES :] == b"\xee" * RECORD_BYTES
    header = unpack_header(bytes(buffer[RECORD_BYTES : 2 * RECORD_BYTES]))
    assert header.type == HeaderType.ADDR
    assert header.record == record % 2**32
    assert (header.inode, header.size, header.present) == (number, size, run.addresses)
    assert (header.mode, header.links, header.uid, header.gid) == inode[:4]
    assert header.atime_s * 1_000_000 + header.atime_us == inode.atime_us
    assert header.mtime_s * 1_000_000 + header.mtime_us == inode.mtime_us
    assert header.ctime_s == inode.ctime_s
    assert (header.device, header.inode_flags) == (inode.device, inode.flags)
    assert (header.low_uid, header.low_gid) == (inode.uid & 0xFFFF, inode.gid & 0xFFFF)


@given(
    record=st.integers(0, 2**40),
    number=NUMBERS,
    run=st.sampled_from(RUNS),
    mode=st.integers(0, 0xFFFF),
    links=st.integers(0, 2**31),
    ids=st.tuples(NUMBERS, NUMBERS),
    size=st.integers(0, 2**62),
    times_ns=st.tuples(*[st.integers(-(2**62), 2**63)] * 2),
    ctime_s=st.integers(-(2**40), 2**40),
)
def test_regular_file_is_packed_as_any_object(
    record: int,
    number: int,
    run: Run,
    mode: int,
    links: int,
    ids: tuple[int, int],
    size: int,
    times_ns: tuple[int, int],
    ctime_s: int,
) -> None:
    packer = HeaderPacker(LABEL).inode
    fast, plain = bytearray(RECORD_BYTES), bytearray(RECORD_BYTES)
    fields = (mode, links, *ids)
    packer.pack_regular(memoryview(fast), 0, record, number, run, *fields, size, *times_ns, ctime_s)
    inode = Inode.within(*fields, *times_ns, ctime_s)
    packer.pack(plain, 0, record, number, inode=inode, size=size, run=run)
    assert fast == plain
    assert sum_of(fast) == CHECKSUM


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


def test_long_texts_are_cut_and_end_with_a_nul() -> None:
    label = LABEL._replace(filesystem=b"f" * 200, host=b"h" * 64, label=b"l" * 16)
    header = unpack_header(HeaderPacker(label).end.bare(5))
    assert (header.filesystem, header.host, header.label) == (b"f" * 63, b"h" * 63, b"l" * 15)


def test_each_kind_of_header_has_its_type_and_flags() -> None:
    packer = HeaderPacker(LABEL)
    kinds = {
        "tape": (HeaderType.TAPE, 3, 0),
        "clri": (HeaderType.CLRI, 2, 0),
        "bits": (HeaderType.BITS, 2, 0),
        "inode": (HeaderType.INODE, 2, 0),
        "addr": (HeaderType.ADDR, 2, 0),
        "attributes": (HeaderType.INODE, 0x8002, 3),
        "end": (HeaderType.END, 2, 0),
    }
    for name, (kind, flags, attribute_kind) in kinds.items():
        header = unpack_header(getattr(packer, name).bare(0))
        assert (header.type, header.flags, header.attribute_kind) == (kind, flags, attribute_kind)
        assert header.has_attributes == (name == "attributes")
        assert header.addresses == bytes(ADDRESSES)


def test_map_header_counts_more_records_than_an_inode_could() -> None:
    header = unpack_header(HeaderPacker(LABEL).clri.bare(1, map_records=12208))
    assert header.data_records == 12208


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_rebased_header_is_as_if_packed_there(record: int, by: int) -> None:
    packer = HeaderPacker(LABEL).inode
    header = bytearray(packer.bare(record, 9))
    rebase_header(header, 0, by)
    assert header == packer.bare(record + by, 9)


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
