"""Files of other programs are read and written as their formats say, and no other way."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_vtape.images import (
    READERS,
    WRITERS,
    BadRecords,
    ImageError,
    ImageFormat,
    ReadChoice,
)

TAPES = st.lists(
    st.one_of(st.none(), st.binary(min_size=1, max_size=9), st.integers(60000, 140000).map(bytes)),
    max_size=8,
)


def made(kind: ImageFormat, items: list[bytes | None]) -> bytes:
    out = io.BytesIO()
    WRITERS[kind](items, out.write)
    return out.getvalue()


def read(kind: ImageFormat, data: bytes, choice: ReadChoice | None = None) -> list[bytes | None]:
    return list(READERS[kind](io.BytesIO(data), choice or ReadChoice()))


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def refused(kind: ImageFormat, data: bytes) -> tuple[int, str]:
    with pytest.raises(ImageError) as caught:
        read(kind, data)
    return caught.value.offset, caught.value.reason


@given(TAPES, st.sampled_from([ImageFormat.SIMH, ImageFormat.AWS]))
def test_tapes_round_trip(items: list[bytes | None], kind: ImageFormat) -> None:
    assert read(kind, made(kind, items)) == items


@given(TAPES.filter(bool), st.sampled_from([ImageFormat.SIMH, ImageFormat.AWS]), st.data())
def test_a_file_that_was_cut_is_a_shorter_tape_or_refused(
    items: list[bytes | None], kind: ImageFormat, data: st.DataObject
) -> None:
    whole = made(kind, items)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = read(kind, cut)
    except ImageError as error:
        assert error.offset <= len(cut)  # noqa: PT017 - either is right
        return
    assert found == items[: len(found)]
    assert len(found) < len(items)


@given(st.binary(max_size=200), st.sampled_from(list(ImageFormat)))
def test_any_bytes_are_read_or_refused(data: bytes, kind: ImageFormat) -> None:
    try:
        found = read(kind, data)
    except ImageError:
        return
    assert sum(len(item or b"") for item in found) <= len(data)


def test_simh_as_its_document_has_it() -> None:
    data = words(3) + b"abc\0" + words(3, 0, 2) + b"de" + words(2, 0, 0)
    assert made(ImageFormat.SIMH, [b"abc", None, b"de", None, None]) == data
    assert read(ImageFormat.SIMH, data + words(0xFFFF_FFFF) + b"rubbish") == [
        b"abc",
        None,
        b"de",
        None,
        None,
    ]


def test_simh_gaps_and_notes_are_no_data() -> None:
    gap = words(0xFFFF_FFFE)
    note = words(0xE000_0005) + b"hello\0" + words(0xE000_0005)
    private = words(0x1000_0002) + b"xx" + words(0x1000_0002)
    record = words(2) + b"ab" + words(2)
    data = gap * 3 + note + words(0x7000_0001) + private + record + gap + words(0)
    assert read(ImageFormat.SIMH, data) == [b"ab", None]
    half = (gap * 3)[2:]
    assert read(ImageFormat.SIMH, half + record) == [b"ab"]


@pytest.mark.parametrize(
    ("choice", "found"),
    [(BadRecords.KEEP, [b"bad", b"ok"]), (BadRecords.SKIP, [b"ok"])],
)
def test_simh_bad_records(choice: BadRecords, found: list[bytes]) -> None:
    bad = words(0x8000_0003) + b"bad\0" + words(0x8000_0003)
    empty = words(0x8000_0000, 0x8000_0000)
    data = bad + empty + words(2) + b"ok" + words(2)
    assert read(ImageFormat.SIMH, data, ReadChoice(choice)) == found
    assert refused(ImageFormat.SIMH, data) == (0, "a record of 3 bytes was read with an error")


@pytest.mark.parametrize(
    ("data", "offset", "reason"),
    [
        (words(2) + b"ab" + words(3), 0, "begins with 00000002h and ends with 00000003h"),
        (words(0, 5) + b"abc", 11, "ends within a record"),
        (words(3) + b"abc", 7, "the padding of a record"),
        (words(2) + b"ab", 6, "the length behind a record"),
        (words(0) + b"xy", 4, "ends within a marker"),
        (words(0xFFFE_FFFF), 4, "ends within an erase gap"),
        (words(0xF000_0001), 0, "F0000001h is neither"),
        (words(0x0100_0000), 0, "01000000h is neither"),
        (words(0x0FFF_FFFF), 0, "neither a length nor a marker"),
    ],
)
def test_simh_files_that_are_refused(data: bytes, offset: int, reason: str) -> None:
    at, why = refused(ImageFormat.SIMH, data)
    assert at == offset
    assert reason in why


def block(data: bytes, before: int, flags: int, more: int = 0) -> bytes:
    return struct.pack("<HHBB", len(data), before, flags, more) + data


def test_aws_as_its_users_have_it() -> None:
    data = block(b"abc", 0, 0xA0) + block(b"", 3, 0x40) + block(b"de", 0, 0xA0)
    assert made(ImageFormat.AWS, [b"abc", None, b"de"]) == data
    parts = block(b"ab", 0, 0x80) + block(b"cd", 2, 0) + block(b"", 2, 0) + block(b"e", 0, 0x20)
    assert read(ImageFormat.AWS, parts) == [b"abcde"]
    assert made(ImageFormat.AWS, [bytes(70000)])[4] == 0x80


@pytest.mark.parametrize(
    ("data", "offset", "reason"),
    [
        (block(b"abc", 1, 0xA0), 0, "a block of 0 bytes is followed by one that says 1"),
        (block(b"abc", 0, 0xA0)[:-1], 8, "ends within a block"),
        (block(b"abc", 0, 0xA0) + b"12345", 9, "ends within a block header"),
        (block(b"abc", 0, 0x80), 9, "ends within a record"),
        (block(b"abc", 0, 0x20), 0, "without a beginning"),
        (block(b"a", 0, 0x80) + block(b"b", 1, 0xA0), 7, "begins within another"),
        (block(b"a", 0, 0x80) + block(b"", 1, 0x40), 7, "lies within a record"),
        (block(b"a", 0, 0x40), 0, "a filemark has data"),
        (block(b"a", 0, 0xA1), 0, "the flags A100h"),
        (block(b"a", 0, 0xA0, 4), 0, "the flags A004h"),
        (block(b"", 0, 0xA0), 0, "a record is empty"),
    ],
)
def test_aws_files_that_are_refused(data: bytes, offset: int, reason: str) -> None:
    at, why = refused(ImageFormat.AWS, data)
    assert at == offset
    assert reason in why


def test_an_aws_record_has_an_end() -> None:
    piece = bytes(0xFFFF)
    data = block(piece, 0, 0x80) + block(piece, 0xFFFF, 0) * 300
    assert "more than 16777215 bytes" in refused(ImageFormat.AWS, data)[1]


def test_bytes_alone_are_cut_into_records() -> None:
    choice = ReadChoice(record_size=4)
    assert read(ImageFormat.RAW, b"abcdefghij", choice) == [b"abcd", b"efgh", b"ij", None]
    assert read(ImageFormat.RAW, b"") == [None]


def test_a_record_of_many_small_blocks_takes_no_longer_than_its_bytes() -> None:
    """A hundred thousand blocks, which took minutes when each copied those before it."""
    count = 100_000
    blocks = [
        struct.pack("<HHBB", 1, int(at > 0), 0x80 * (at == 0), 0) + b"x" for at in range(count)
    ]
    end = struct.pack("<HHBB", 1, 1, 0x20, 0) + b"y"
    assert read(ImageFormat.AWS, b"".join([*blocks, end])) == [b"x" * count + b"y"]
