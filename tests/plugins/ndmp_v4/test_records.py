"""Records: fragments put together, and limits before anything is waited for."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_ndmp_v4.errors import RemoteProtocolError
from tapekit_ndmp_v4.records import Limits, RecordReader, marked

LIMITS = Limits(max_record_bytes=1000, max_fragments=8, max_empty_fragments=2)


def fragment(data: bytes, *, last: bool = False) -> bytes:
    return struct.pack(">I", len(data) | last << 31) + data


def fragmented(record: bytes, cuts: list[int]) -> bytes:
    """A record with a fragment's end at each of ``cuts``."""
    edges = [0, *sorted(cut % (len(record) + 1) for cut in cuts), len(record)]
    parts = [record[start:end] for start, end in itertools.pairwise(edges)]
    return b"".join(fragment(part) for part in parts[:-1]) + fragment(parts[-1], last=True)


def read_all(reader: RecordReader) -> list[bytes]:
    records = []
    while (record := reader.next_record()) is not None:
        records.append(record)
    return records


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=4, unique=True)
        ),
        max_size=5,
    ),
    st.integers(1, 400),
)
def test_records_come_whole_however_they_are_cut(
    sent: list[tuple[bytes, list[int]]], chunk: int
) -> None:
    data = b"".join(fragmented(record, cuts) for record, cuts in sent)
    reader = RecordReader(Limits())
    received = []
    for at in range(0, len(data), chunk):
        reader.receive_data(data[at : at + chunk])
        received += read_all(reader)
    assert received == [record for record, _ in sent]
    reader.receive_data(b"")
    assert reader.next_record() is None


def test_a_record_of_ours_is_one_fragment() -> None:
    assert marked(b"abcd") == b"\x80\0\0\4abcd"


def test_a_record_over_the_limit_is_refused_by_its_mark() -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(struct.pack(">I", 1001 | 1 << 31))
    with pytest.raises(RemoteProtocolError, match="at least 1001 bytes; at most 1000"):
        reader.next_record()


def test_fragments_are_added_up_before_they_are_waited_for() -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(fragment(bytes(600)) + struct.pack(">I", 401))
    with pytest.raises(RemoteProtocolError) as refused:
        reader.next_record()
    assert refused.value.id == "ndmp_v4.record-too-large"


def test_the_largest_record_passes() -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(fragment(bytes(600)) + fragment(bytes(400), last=True))
    assert reader.next_record() == bytes(1000)


def test_a_few_empty_fragments_pass_and_more_do_not() -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(fragment(b"") * 2 + fragment(b"abc", last=True))
    assert reader.next_record() == b"abc"
    reader.receive_data(fragment(b"") * 3)
    with pytest.raises(RemoteProtocolError, match="more than 2 fragments"):
        reader.next_record()


def test_too_many_fragments_are_refused() -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(fragment(b"a") * 7 + fragment(b"b", last=True))
    assert reader.next_record() == b"aaaaaaab"
    reader.receive_data(fragment(b"a") * 9)
    with pytest.raises(RemoteProtocolError, match="more than 8 fragments"):
        reader.next_record()


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x80\0\0\4abc", fragment(b"abc"), fragment(b""), fragment(b"a") + b"\x80"]
)
def test_the_end_within_a_message_is_an_error(data: bytes) -> None:
    reader = RecordReader(LIMITS)
    reader.receive_data(data)
    assert reader.next_record() is None
    reader.receive_data(b"")
    with pytest.raises(RemoteProtocolError) as cut_off:
        reader.next_record()
    assert cut_off.value.id == "ndmp_v4.message-cut-off"
