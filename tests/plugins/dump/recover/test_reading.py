"""Headers from streams that are whole, damaged, or no dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.streams import EndOfStream, StreamReader
from tapekit.testing.memory_connection import MemorySource
from tapekit_dump.headers import (
    MAGIC,
    RECORD_BYTES,
    UFS2_MAGIC,
    BadHeader,
    HeaderType,
    unpack_header,
)
from tapekit_dump.reading import Damage, HeaderReader, RecordReader

if TYPE_CHECKING:
    from collections.abc import Sequence

WORD = st.integers(0, 2**32 - 1)
HALF = st.integers(0, 2**16 - 1)


def reader_of(data: bytes, cuts: Sequence[int] = (4096,)) -> tuple[RecordReader, list[Damage]]:
    damages: list[Damage] = []
    stream = StreamReader(MemorySource(data, cuts=cuts))
    return RecordReader(stream, damages.append), damages


@given(
    order=st.sampled_from("<>"),
    magic=st.sampled_from([MAGIC, UFS2_MAGIC]),
    numbers=st.lists(
        st.fixed_dictionaries(
            {
                "inode": WORD,
                "record": WORD,
                "mode": HALF,
                "uid": WORD,
                "size": st.integers(-(2**63), 2**63 - 1),
                "mtime_s": WORD,
                "mtime_us": WORD,
                "device": WORD,
                "address_count": st.integers(-(2**31), 2**31 - 1),
                "addresses": st.binary(max_size=512),
                "flags": st.integers(0, 2**31 - 1),
            }
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_the_quick_reader_reads_as_the_plain_one(
    dump: Any, order: str, magic: int, numbers: list[dict[str, Any]]
) -> None:
    reader = HeaderReader(order, magic)
    for values in numbers + numbers:
        record = dump.record(order, magic=magic, host=b"alpha", **values)
        assert reader.read(memoryview(record)) == unpack_header(record)


def test_the_quick_reader_forgets_in_time(dump: Any) -> None:
    reader = HeaderReader("<", MAGIC)
    for number in range(3000):
        record = dump.record(magic=MAGIC, host=b"%d" % number)
        assert reader.read(memoryview(record)).host == b"%d" % number
    assert len(reader._known) <= 1024


@pytest.mark.parametrize("at", [0, 20, 24, 40, 100, 163])
def test_a_changed_byte_shows_in_the_checksum(dump: Any, at: int) -> None:
    good = dump.record(magic=MAGIC, inode=5, size=100)
    reader = HeaderReader("<", MAGIC)
    reader.read(memoryview(good))
    bad = bytearray(good)
    bad[at] ^= 0x10
    with pytest.raises(BadHeader):
        reader.read(memoryview(bad))


@pytest.mark.parametrize(("order", "magic"), [(">", MAGIC), ("<", UFS2_MAGIC)])
def test_headers_of_another_form_are_not_of_this_dump(dump: Any, order: str, magic: int) -> None:
    reader = HeaderReader("<", MAGIC)
    for _ in range(2):
        with pytest.raises(BadHeader, match="magic"):
            reader.read(memoryview(dump.record(order, magic=magic)))


def test_headers_come_in_order_however_the_stream_is_cut(dump: Any) -> None:
    data = dump().begin().directory(2).file(3, b"x" * 3000).end()
    for cuts in ([1], [1000], [1024], [1 << 20]):
        records, damages = reader_of(data, cuts)
        header = records.first()
        kinds = [header.type]
        while header.type != HeaderType.END:
            records.skip_content(header)
            header = records.next()
            kinds.append(header.type)
        assert kinds == [1, 6, 3, 2, 2, 5]
        assert damages == []


@pytest.mark.parametrize("data", [b"", b"short", bytes(70 * RECORD_BYTES)])
def test_what_does_not_begin_as_a_dump(data: bytes) -> None:
    records, damages = reader_of(data)
    with pytest.raises(TapekitError) as caught:
        records.first()
    assert caught.value.id == "dump.not-a-dump"
    assert damages == []


def test_a_damaged_beginning_is_passed_over(dump: Any) -> None:
    data = bytes(2 * RECORD_BYTES) + dump().begin().end()[RECORD_BYTES:]
    records, damages = reader_of(data)
    assert records.first().type == HeaderType.CLRI
    assert damages == [Damage(0, 2048, "beginning")]


IMPOSSIBLE = [
    pytest.param({"kind": 99}, id="type"),
    pytest.param({"kind": 2, "inode": 0}, id="inode 0"),
    pytest.param({"kind": 2, "inode": 1}, id="inode 1"),
    pytest.param({"kind": 2, "inode": 5, "address_count": 513}, id="too many addresses"),
    pytest.param({"kind": 2, "inode": 5, "address_count": -1}, id="negative count"),
    pytest.param({"kind": 2, "inode": 5, "size": -1}, id="negative size"),
    pytest.param({"kind": 3, "address_count": 2**31 - 1}, id="map"),
    pytest.param({"kind": 6, "address_count": -5}, id="negative map"),
    pytest.param({"kind": 2, "inode": 5, "date": 12345}, id="another dump"),
]


@pytest.mark.parametrize("values", IMPOSSIBLE)
def test_claims_that_cannot_be_true_are_damage(dump: Any, values: dict[str, int]) -> None:
    stream = dump().begin()
    start = len(stream.data)
    values = dict(values)
    stream.header(values.pop("kind"), **values).raw(bytes(3072)).file(7, b"good")
    records, damages = reader_of(stream.end())
    header = records.first()
    for _ in range(2):
        header = records.next()
        records.skip_content(header)
    assert records.next().inode == 7
    ((offset, length, _),) = damages
    assert (offset, length) == (start, 4096)
    assert records.damages == 1


def test_damage_to_the_end_is_told_before_the_end(dump: Any) -> None:
    stream = dump().begin()
    start = len(stream.data)
    records, damages = reader_of(stream.data + b"\xaa" * 5000)
    records.first()
    for _ in range(2):
        records.skip_content(records.next())
    with pytest.raises(EndOfStream):
        records.next()
    assert damages == [Damage(start, 5000, "magic of the header")]


def test_a_cut_header_is_the_end(dump: Any) -> None:
    stream = dump().begin()
    records, damages = reader_of(stream.data[: 3 * RECORD_BYTES + 500])
    records.first()
    records.skip_content(records.next())
    with pytest.raises(EndOfStream):
        records.next()
    assert damages == []


def numbered_files(dump: Any) -> tuple[bytes, int]:
    """Three files, and where the second begins."""
    stream = dump().begin().directory(2).file(3, b"x" * 2000)
    start = len(stream.data)
    return stream.file(4, b"y" * 2000).file(5, b"z" * 2000).end(), start


def inodes_and_damages(data: bytes) -> tuple[list[int], list[Damage]]:
    records, damages = reader_of(data)
    header, found = records.first(), []
    while header.type != HeaderType.END:
        found.append(header.inode)
        records.skip_content(header)
        header = records.next()
    assert records.damages == len(damages)
    return found[3:], damages


def test_whole_objects_that_a_tape_swallowed_are_damage(dump: Any) -> None:
    data, start = numbered_files(dump)
    inodes, damages = inodes_and_damages(data[:start] + data[start + 3 * RECORD_BYTES :])
    assert inodes == [2, 3, 5]
    assert damages == [Damage(start, 3 * RECORD_BYTES, "records are missing here")]


def test_whole_objects_that_come_twice_are_damage(dump: Any) -> None:
    data, start = numbered_files(dump)
    end = start + 3 * RECORD_BYTES
    inodes, damages = inodes_and_damages(data[:end] + data[start:])
    assert inodes == [2, 3, 4, 4, 5]
    assert damages == [Damage(start, 3 * RECORD_BYTES, "more records than there were")]


def test_records_are_missing_where_numbers_begin_again(dump: Any) -> None:
    data, start = numbered_files(dump)
    near_the_end = 2**32 - start // RECORD_BYTES - 1
    raised = dump.renumbered(data, lambda number: (near_the_end + number) & 0xFFFF_FFFF)
    assert inodes_and_damages(raised) == ([2, 3, 4, 5], [])
    cut = raised[:start] + raised[start + 3 * RECORD_BYTES :]
    assert inodes_and_damages(cut)[1] == [
        Damage(start, 3 * RECORD_BYTES, "records are missing here")
    ]


def test_dumps_may_have_no_numbers(dump: Any) -> None:
    data, start = numbered_files(dump)
    plain = dump.renumbered(data, lambda _: 0)
    assert inodes_and_damages(plain[:start] + plain[start + 3 * RECORD_BYTES :]) == (
        [2, 3, 5],
        [],
    )
