"""Headers and entries survive the way to bytes and back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Entry,
    EntryKind,
    Header,
    HeaderError,
    decode_entry,
    decode_header,
    encode_entry,
    encode_header,
)

headers = st.builds(
    Header,
    barcode=st.text("ABCXYZ0189-_", min_size=1, max_size=32),
    capacity=st.integers(0, 2**64 - 1),
    early_warning=st.integers(0, 2**64 - 1),
    is_protected=st.booleans(),
    is_packed=st.booleans(),
    is_worm=st.booleans(),
    density=st.integers(0, 255),
)
entries = st.builds(
    Entry,
    kind=st.sampled_from(EntryKind),
    length=st.integers(0, 2**32 - 1),
    objects=st.integers(0, 2**64 - 1),
    end=st.integers(0, 2**64 - 1),
)


@given(headers)
def test_headers_round_trip(header: Header) -> None:
    data = encode_header(header)
    assert len(data) == HEADER_BYTES == 128
    assert decode_header(data + b"more") == header


@given(headers)
def test_older_readers_get_what_they_can_read(header: Header) -> None:
    has_more = header.is_packed or header.is_worm or header.density
    assert encode_header(header)[9] == (2 if has_more else 1)


@given(entries, st.integers(0, 2**40))
def test_entries_round_trip_at_their_place_only(entry: Entry, sequence: int) -> None:
    data = encode_entry(entry, sequence)
    assert len(data) == ENTRY_BYTES == 32
    assert decode_entry(data, sequence) == entry
    assert decode_entry(data, sequence + 1) is None


@given(entries, st.integers(0, ENTRY_BYTES * 8 - 1))
def test_an_entry_with_any_bit_turned_is_not_believed(entry: Entry, bit: int) -> None:
    data = bytearray(encode_entry(entry, 7))
    data[bit // 8] ^= 1 << bit % 8
    assert decode_entry(bytes(data), 7) is None


@pytest.mark.parametrize("data", [b"", bytes(ENTRY_BYTES), bytes(ENTRY_BYTES - 1)])
def test_no_entry_is_found_where_there_is_none(data: bytes) -> None:
    assert decode_entry(data, 0) is None


def test_an_unknown_kind_is_not_believed() -> None:
    data = encode_entry(Entry(EntryKind.CUT, 0, 0, 0)._replace(kind=9), 0)  # type: ignore[arg-type] # that is the point
    assert decode_entry(data, 0) is None


@given(headers, st.integers(0, HEADER_BYTES * 8 - 1))
def test_a_header_with_any_bit_turned_is_refused(header: Header, bit: int) -> None:
    data = bytearray(encode_header(header))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HeaderError):
        decode_header(bytes(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"x" * HEADER_BYTES, "does not begin like an index"),
        (b"TKVTAPE\n\x00\x03" + bytes(HEADER_BYTES), "format version 3, and 2 is the newest"),
    ],
)
def test_a_header_that_is_refused_says_why(data: bytes, words: str) -> None:
    with pytest.raises(HeaderError, match=words):
        decode_header(data)
