"""Packed headers against the worked example, and against what reads them."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.header_packing import HeaderPacker, rebase_header
from tapekit_dump.headers import (
    ADDRESSES,
    CHECKSUM,
    RECORD_BYTES,
    RUNS,
    DumpLabel,
    HeaderType,
    Inode,
    Run,
    unpack_header,
)

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
