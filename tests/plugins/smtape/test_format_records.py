from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_smtape.format_records import (
    Attribute,
    CopyBegin,
    CopyEnd,
    Data,
    Entry,
    Gone,
    Hole,
    Object,
    Record,
    Share,
    data_head,
    pack_record,
    parse_records,
)

NUMBERS = st.integers(0, 2**64 - 1)
OFFSETS = st.integers(0, 2**62 - 1)
SMALL = st.integers(0, 2**32 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: name not in {b".", b".."} and not set(name) & {0, 0x2F}
)
KINDS = st.sampled_from(
    [stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]
)
OBJECTS = st.builds(
    Object,
    is_new=st.booleans(),
    number=NUMBERS,
    mode=st.builds(lambda kind, bits: kind | bits, KINDS, st.integers(0, 0o7777)),
    uid=SMALL,
    gid=SMALL,
    device=NUMBERS,
    size=OFFSETS,
    atime_ns=TIMES,
    mtime_ns=TIMES,
    parent=NUMBERS,
    name=NAMES,
    target=st.just(b""),
)
RECORDS = st.one_of(
    OBJECTS,
    st.builds(CopyBegin, SMALL),
    st.builds(Gone, NUMBERS, NAMES),
    st.builds(Attribute, NAMES, st.binary(max_size=200)),
    st.builds(Data, OFFSETS, st.binary(min_size=1, max_size=200).map(memoryview)),
    st.builds(Share, OFFSETS, NUMBERS, OFFSETS, OFFSETS),
    st.builds(Hole, OFFSETS, OFFSETS),
    st.builds(Entry, NUMBERS, NUMBERS, NAMES),
    st.builds(CopyEnd, NUMBERS),
)


@given(st.lists(RECORDS, max_size=20))
def test_records_come_back(records: list[Record]) -> None:
    packed = b"".join(map(pack_record, records))
    assert list(parse_records(memoryview(packed))) == records


def test_data_may_be_written_behind_their_head() -> None:
    content = b"some bytes"
    assert data_head(7, len(content)) + content == pack_record(Data(7, memoryview(content)))


@given(st.lists(RECORDS, min_size=1, max_size=3), st.integers(1, 100))
def test_a_cut_record_is_told(records: list[Record], less: int) -> None:
    packed = b"".join(map(pack_record, records))
    last = len(pack_record(records[-1]))
    cut = memoryview(packed)[: len(packed) - min(less, last - 1)]
    with pytest.raises(TapekitError, match="Failed to read backup image"):
        list(parse_records(cut))


@given(st.binary(max_size=300))
def test_nothing_but_a_declared_error_escapes(payload: bytes) -> None:
    try:
        found = list(parse_records(memoryview(payload)))
    except TapekitError:
        return
    again = b"".join(map(pack_record, found))
    assert list(parse_records(memoryview(again))) == found


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b", b"x" * 256])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    for record in (Gone(1, name), Entry(1, 2, name)):
        with pytest.raises(TapekitError, match="Failed to read backup image"):
            list(parse_records(memoryview(pack_record(record))))
