"""A journal is followed as far as it can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_vtape.index_format import (
    ENTRY_BYTES,
    FRAME_BYTES,
    HEADER_BYTES,
    LONGEST_PACKED_RECORD,
    MOST_OBJECTS,
    Entry,
    EntryKind,
    Header,
    encode_entry,
    encode_header,
)
from tapekit_vtape.replay import entries_of, replay

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = Header("VT0001", 1 << 30, 1 << 20)


def index_of(*entries: Entry) -> bytes:
    return encode_header(HEADER) + b"".join(
        encode_entry(entry, at) for at, entry in enumerate(entries)
    )


def records(count: int, length: int, end: int) -> Entry:
    return Entry(EntryKind.RECORDS, length, count, end)


def marks(count: int, end: int) -> Entry:
    return Entry(EntryKind.FILEMARKS, 0, count, end)


def cut(objects: int, end: int) -> Entry:
    return Entry(EntryKind.CUT, 0, objects, end)


WRITTEN = (records(3, 100, 300), marks(1, 300), records(2, 50, 400))


def test_a_tape_is_what_its_entries_say() -> None:
    found = replay(index_of(*WRITTEN), 400)
    assert found.header == HEADER
    assert [(run.length, run.objects) for run in found.tape.runs] == [(100, 3), (0, 1), (50, 2)]
    assert (found.entries, found.damage) == (3, None)


def test_a_cut_forgets_what_follows() -> None:
    found = replay(index_of(*WRITTEN, cut(2, 200), marks(2, 200)), 200)
    assert [(run.length, run.objects) for run in found.tape.runs] == [(100, 2), (0, 2)]


@given(st.integers(0, ENTRY_BYTES - 1), st.binary(max_size=3 * ENTRY_BYTES))
def test_a_torn_end_is_no_damage(kept: int, rubbish: bytes) -> None:
    whole = index_of(*WRITTEN)
    torn = whole[: len(whole) - ENTRY_BYTES + kept]
    for index in (torn, whole + rubbish):
        found = replay(index, 400)
        assert found.damage is None
    assert replay(torn, 400).entries == 2


def test_a_damaged_entry_before_good_ones_is_told() -> None:
    index = bytearray(index_of(*WRITTEN))
    index[HEADER_BYTES + ENTRY_BYTES + 9] ^= 4
    found = replay(bytes(index), 400)
    assert found.entries == 1
    assert found.tape.objects == 3
    assert found.damage == "the index is damaged at its entry 1"


def test_entries_that_contradict_each_other_are_told() -> None:
    for wrong in (
        records(2, 50, 401),
        records(0, 50, 300),
        records(2, 0, 300),
        Entry(EntryKind.FILEMARKS, 5, 1, 305),
        marks(0, 300),
        cut(5, 300),
        cut(1, 99),
    ):
        found = replay(index_of(*WRITTEN[:2], wrong), 500)
        assert found.entries == 2
        assert found.damage == "the index is damaged at its entry 2"


def test_records_that_the_payload_lacks_are_gone() -> None:
    found = replay(index_of(*WRITTEN), 399)
    assert found.tape.objects == 5
    assert found.journal_objects == 6
    assert found.damage is None


def test_data_missing_before_a_filemark_is_damage() -> None:
    found = replay(index_of(*WRITTEN), 299)
    assert found.tape.objects == 2
    assert found.damage == "the payload has 299 of 400 bytes"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("records"), st.integers(1, 5), st.integers(1, 9)),
            st.tuples(st.just("marks"), st.integers(1, 3), st.just(0)),
            st.tuples(st.just("cut"), st.integers(0, 40), st.just(0)),
        ),
        max_size=20,
    )
)
def test_the_shortest_journal_says_the_same(steps: list[tuple[str, int, int]]) -> None:
    objects: list[int] = []
    entries: list[Entry] = []
    for what, number, length in steps:
        if what == "cut":
            del objects[number:]
            entries.append(cut(len(objects), sum(objects)))
        else:
            objects += [length] * number
            make = records(number, length, sum(objects)) if length else marks(number, sum(objects))
            entries.append(make)
    found = replay(index_of(*entries), sum(objects))
    assert found.damage is None
    assert found.entries == len(entries)
    short = list(entries_of(found.tape))
    assert len(short) <= len(entries)
    again = replay(index_of(*short), sum(objects))
    assert list(again.tape.runs) == list(found.tape.runs)
    assert [run.length for run in again.tape.runs for _ in range(run.objects)] == objects


@pytest.mark.parametrize(
    "entry",
    [
        Entry(EntryKind.PACKED, LONGEST_PACKED_RECORD + 1, 1, 500),
        Entry(EntryKind.PACKED, 1 << 20, 5, 500),
        Entry(EntryKind.PACKED, 100, 1, 400 + FRAME_BYTES),
        Entry(EntryKind.PACKED, 100, 1 << 62, 500),
        marks(MOST_OBJECTS, 400),
    ],
)
def test_what_would_take_all_memory_or_time_is_not_believed(entry: Entry) -> None:
    """A frame that claims gigabytes, a tape of more marks than can be counted."""
    found = replay(index_of(*WRITTEN, entry), 1 << 40)
    assert (found.tape.objects, found.damage) == (6, "the index is damaged at its entry 3")


def test_what_a_drive_compresses_at_most_is_believed() -> None:
    whole = Entry(EntryKind.PACKED, 1 << 20, 4, 100)
    longer = Entry(EntryKind.PACKED, 8 << 20, 1, 100 + (8 << 20) - 1)
    assert replay(index_of(whole, longer), 1 << 40).damage is None


def in_pieces(index: bytes, size: int) -> tuple[bytes, list[bytes]]:
    """The header, and the journal in pieces of so many entries."""
    journal = index[HEADER_BYTES:]
    step = size * ENTRY_BYTES
    return index[:HEADER_BYTES], [journal[at : at + step] for at in range(0, len(journal), step)]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("torn", [0, 1, ENTRY_BYTES - 1])
def test_an_index_is_read_in_pieces(size: int, torn: int) -> None:
    index = index_of(*WRITTEN, cut(2, 200), marks(2, 200))
    index = index[: len(index) - torn]
    head, pieces = in_pieces(index, size)
    whole, found = replay(index, 400), replay(head, 400, iter(pieces))
    assert (found.entries, found.damage) == (whole.entries, whole.damage)
    assert list(found.tape.runs) == list(whole.tape.runs)


def test_entries_of_a_later_piece_are_damage() -> None:
    head, pieces = in_pieces(index_of(*WRITTEN), 1)
    pieces[1] = bytes(ENTRY_BYTES)
    assert replay(head, 400, pieces).damage == "the index is damaged at its entry 1"


def test_more_than_a_crash_leaves_is_not_searched() -> None:
    def endless() -> Iterator[bytes]:
        yield index_of(*WRITTEN)[HEADER_BYTES:]
        while True:
            yield bytes(ENTRY_BYTES << 18)

    found = replay(index_of()[:HEADER_BYTES], 400, endless())
    assert (found.entries, found.damage) == (3, "the index is damaged at its entry 3")
