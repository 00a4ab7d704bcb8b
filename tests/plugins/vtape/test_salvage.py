"""What is left of an index says all that it still can, and nothing is moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit_vtape.index_format import ENTRY_BYTES, HEADER_BYTES, Entry, EntryKind, encode_entry
from tapekit_vtape.replay import apply_entry
from tapekit_vtape.salvage import Gap, salvage
from tapekit_vtape.tape_map import FILEMARK, TapeMap

if TYPE_CHECKING:
    from collections.abc import Sequence

LOST = bytes(ENTRY_BYTES)
SIZE = 7


def journal(entries: Sequence[Entry], lost: frozenset[int] = frozenset()) -> bytes:
    """An index whose header and some entries cannot be read."""
    told = (
        LOST if place in lost else encode_entry(entry, place) for place, entry in enumerate(entries)
    )
    return bytes(HEADER_BYTES) + b"".join(told)


def records(length: int, count: int, end: int) -> Entry:
    return Entry(EntryKind.RECORDS, length, count, end)


def marks(count: int, end: int) -> Entry:
    return Entry(EntryKind.FILEMARKS, 0, count, end)


def runs(tape: TapeMap) -> list[tuple[int, int]]:
    return [(run.length, run.objects) for run in tape.runs]


TWO_FILES = [records(10, 3, 30), marks(1, 30), records(20, 2, 70), marks(1, 70)]


def test_entries_tell_everything_without_the_header() -> None:
    found = salvage(journal(TWO_FILES), 70, SIZE)
    assert runs(found.tape) == [(10, 3), (FILEMARK, 1), (20, 2), (FILEMARK, 1)]
    assert (found.entries, found.lost, found.gaps) == (4, 0, [])


def test_records_of_which_no_entry_is_left_are_taken_as_told() -> None:
    found = salvage(journal(TWO_FILES, frozenset({2})), 70, SIZE)
    assert runs(found.tape) == [(10, 3), (FILEMARK, 1), (SIZE, 5), (5, 1), (FILEMARK, 1)]
    assert (found.entries, found.lost, found.gaps) == (3, 1, [Gap(30, 70)])


def test_a_lost_filemark_stays_lost() -> None:
    found = salvage(journal(TWO_FILES, frozenset({1})), 70, SIZE)
    assert runs(found.tape) == [(10, 3), (20, 2), (FILEMARK, 1)]
    assert found.gaps == []


def test_without_an_index_there_is_the_payload_alone() -> None:
    for index in (b"", b"nothing of the kind", journal([])):
        found = salvage(index, 16, SIZE)
        assert runs(found.tape) == [(SIZE, 2), (2, 1)]
        assert (found.entries, found.gaps) == (0, [Gap(0, 16)])


def test_a_lost_end_is_taken_from_the_payload() -> None:
    found = salvage(journal(TWO_FILES, frozenset({2, 3})), 70, SIZE)
    assert found.gaps == [Gap(30, 70)]
    assert found.tape.end == 70


def test_what_lies_behind_a_journal_in_order_is_a_write_that_nobody_acknowledged() -> None:
    index = journal(TWO_FILES)
    for torn in (index, index + LOST[:9]):
        assert salvage(torn, 100, SIZE).tape.end == 70
        assert salvage(torn, 100, SIZE, takes_rest=True).gaps == [Gap(70, 100)]


def test_a_payload_that_is_too_short_ends_the_tape() -> None:
    found = salvage(journal(TWO_FILES), 55, SIZE)
    assert runs(found.tape) == [(10, 3), (FILEMARK, 1), (20, 1), (5, 1)]
    assert found.gaps == [Gap(50, 55)]


def test_a_lost_cut_is_seen_by_what_was_written_then() -> None:
    entries = [*TWO_FILES, Entry(EntryKind.CUT, 0, 1, 10), records(4, 2, 18)]
    found = salvage(journal(entries, frozenset({4})), 18, SIZE)
    assert runs(found.tape) == [(10, 1), (4, 2)]
    assert found.gaps == []


def test_a_cut_behind_a_gap_counts_by_its_place() -> None:
    entries = [*TWO_FILES, Entry(EntryKind.CUT, 0, 5, 50), marks(1, 50)]
    found = salvage(journal(entries, frozenset({0})), 50, 5)
    assert runs(found.tape) == [(5, 6), (FILEMARK, 1), (20, 1), (FILEMARK, 1)]
    assert found.gaps == [Gap(0, 30)]


def test_a_filemark_that_was_overwritten_behind_a_gap_does_not_come_back() -> None:
    """Two filemarks end the data, and the next file overwrites the second one."""
    entries = [records(10, 3, 30), marks(2, 30), Entry(EntryKind.CUT, 0, 4, 30)]
    entries += [records(10, 2, 50), marks(2, 50), Entry(EntryKind.CUT, 0, 7, 50)]
    entries += [records(10, 1, 60), marks(2, 60)]
    found = salvage(journal(entries, frozenset({0})), 60, SIZE)
    assert runs(found.tape)[2:] == [
        (FILEMARK, 1),
        (10, 2),
        (FILEMARK, 1),
        (10, 1),
        (FILEMARK, 2),
    ]
    assert found.gaps == [Gap(0, 30)]


def test_what_a_cut_took_back_may_have_been_lost_too() -> None:
    entries = [records(10, 3, 30), marks(1, 30), records(10, 1, 40)]
    entries += [Entry(EntryKind.CUT, 0, 4, 30), records(5, 2, 40)]
    found = salvage(journal(entries, frozenset({0, 2})), 40, SIZE)
    assert runs(found.tape)[2:] == [(FILEMARK, 1), (5, 2)]


def test_a_frame_that_ends_in_a_gap_is_told() -> None:
    entries = [records(10, 3, 30), marks(1, 30), Entry(EntryKind.PACKED, 10, 4, 50)]
    entries += [marks(1, 50), Entry(EntryKind.CUT, 0, 0, 0), records(10, 1, 10)]
    found = salvage(journal(entries[:4], frozenset({0, 1})), 50, SIZE)
    assert (found.gaps, found.frames) == ([Gap(0, 50)], [50])
    assert not salvage(journal(entries, frozenset({0, 1})), 10, SIZE).frames
    found = salvage(journal(entries[:4], frozenset({1})), 50, SIZE, is_frame=lambda _: True)
    assert runs(found.tape) == [(10, 3), (10, 4), (FILEMARK, 1)]
    assert not found.gaps


def test_a_gap_that_was_overwritten_is_none() -> None:
    entries = [records(1, 1, 1), Entry(EntryKind.CUT, 0, 0, 0), records(3, 2, 6)]
    found = salvage(journal(entries, frozenset({0})), 6, SIZE)
    assert runs(found.tape) == [(3, 2)]
    assert found.gaps == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("records"), st.integers(1, 9), st.integers(1, 4)),
        st.tuples(st.just("marks"), st.just(0), st.integers(1, 3)),
        st.tuples(st.just("cut"), st.just(0), st.integers(0, 99)),
    ),
    max_size=12,
)


def written(steps: Sequence[tuple[str, int, int]]) -> tuple[TapeMap, list[Entry]]:
    """A tape and its journal."""
    tape, entries = TapeMap(), []
    for step, length, number in steps:
        if step == "cut":
            objects = number % (tape.objects + 1)
            entry = Entry(EntryKind.CUT, 0, objects, tape.byte_at(objects))
        else:
            kind = EntryKind.RECORDS if step == "records" else EntryKind.FILEMARKS
            entry = Entry(kind, length, number, tape.end + length * number)
        assert apply_entry(tape, entry)
        entries.append(entry)
    return tape, entries


@given(STEPS)
def test_a_journal_in_order_gives_the_tape_as_it_was(steps: list[tuple[str, int, int]]) -> None:
    tape, entries = written(steps)
    found = salvage(journal(entries), tape.end, SIZE)
    assert runs(found.tape) == runs(tape)
    assert not found.gaps


@given(STEPS, st.frozensets(st.integers(0, 11)))
def test_every_byte_of_the_payload_has_one_place(
    steps: list[tuple[str, int, int]], lost: frozenset[int]
) -> None:
    tape, entries = written(steps)
    found = salvage(journal(entries, lost), tape.end, SIZE)
    assert found.tape.end <= tape.end
    if lost >= {len(entries) - 1} or not entries:
        assert found.tape.end == tape.end
    for start, stop in found.gaps:
        assert 0 <= start < stop <= found.tape.end
    ends = {run.first_byte for run in tape.runs} | {tape.end}
    gaps = [range(start, stop + 1) for start, stop in found.gaps]
    if not any(entry.kind is EntryKind.CUT for entry in entries):
        for run in found.tape.runs:
            assert run.first_byte in ends or any(run.first_byte in gap for gap in gaps)


@given(st.binary(max_size=400), st.integers(0, 300))
def test_any_bytes_make_some_tape(index: bytes, payload_bytes: int) -> None:
    found = salvage(index, payload_bytes, SIZE)
    assert found.tape.end <= payload_bytes
