"""The map of a tape agrees with a plain list of what is on it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import TapePosition
from tapekit_vtape.tape_map import FILEMARK, TapeMap

runs = st.lists(
    st.tuples(st.sampled_from([FILEMARK, FILEMARK, 1, 5, 512]), st.integers(1, 4)), max_size=30
)


def mapped(runs: list[tuple[int, int]]) -> tuple[TapeMap, list[int]]:
    """A map, and the lengths of its objects one by one."""
    tape = TapeMap()
    for length, count in runs:
        tape.append(length, count)
    return tape, [length for length, count in runs for _ in range(count)]


def file_of(objects: list[int], position: int) -> int:
    return sum(length == FILEMARK for length in objects[:position])


@given(runs)
def test_totals(runs: list[tuple[int, int]]) -> None:
    tape, objects = mapped(runs)
    assert tape.objects == len(objects)
    assert tape.end == sum(objects)
    assert tape.marks == objects.count(FILEMARK)
    lengths = [run.length for run in tape.runs]
    assert all(one != other for one, other in pairwise(lengths))


@given(runs, st.data())
def test_positions(runs: list[tuple[int, int]], data: st.DataObject) -> None:
    tape, objects = mapped(runs)
    position = data.draw(st.integers(0, len(objects)))
    assert tape.byte_at(position) == sum(objects[:position])
    assert tape.marks_before(position) == file_of(objects, position)
    run = tape.run_at(position)
    assert (run.length if run else None) == (objects[position] if position < len(objects) else None)
    start = max((at + 1 for at in range(position) if objects[at] == FILEMARK), default=0)
    assert tape.describe(position) == TapePosition(file_of(objects, position), position - start)


def step(objects: list[int], position: int, *, forward: bool, marks: bool) -> int | None:
    """One step of spacing, or ``None`` at a limit, by the rules in prose."""
    at = position if forward else position - 1
    if not 0 <= at < len(objects):
        return None
    if (objects[at] == FILEMARK) != marks:
        return None
    return position + (1 if forward else -1)


@given(runs, st.data(), st.integers(-12, 12))
def test_spacing_over_records(runs: list[tuple[int, int]], data: st.DataObject, count: int) -> None:
    tape, objects = mapped(runs)
    position = expected = data.draw(st.integers(0, len(objects)))
    for _ in range(abs(count)):
        following = step(objects, expected, forward=count > 0, marks=False)
        if following is None:
            break
        expected = following
    assert tape.over_records(position, count) == expected


@given(runs, st.data(), st.integers(-12, 12))
def test_spacing_over_filemarks(
    runs: list[tuple[int, int]], data: st.DataObject, count: int
) -> None:
    tape, objects = mapped(runs)
    position = expected = data.draw(st.integers(0, len(objects)))
    passed = 0
    while passed < abs(count):
        at = expected if count > 0 else expected - 1
        if not 0 <= at < len(objects):
            break
        passed += objects[at] == FILEMARK
        expected += 1 if count > 0 else -1
    assert tape.over_marks(position, count) == (expected, passed)


@given(runs, st.data())
def test_a_cut_tape_is_the_beginning_of_the_whole(
    runs: list[tuple[int, int]], data: st.DataObject
) -> None:
    tape, objects = mapped(runs)
    keep = data.draw(st.integers(0, len(objects)))
    tape.cut(keep)
    again, _ = mapped([(length, 1) for length in objects[:keep]])
    assert list(tape.runs) == list(again.runs)
    tape.append(7, 1)
    assert tape.byte_at(keep) == sum(objects[:keep])
    assert tape.objects == keep + 1


@given(runs, st.data())
def test_objects_within_a_short_payload(runs: list[tuple[int, int]], data: st.DataObject) -> None:
    tape, objects = mapped(runs)
    length = data.draw(st.integers(0, sum(objects)))
    kept = tape.objects_within(length)
    assert sum(objects[:kept]) <= length
    assert kept == len(objects) or sum(objects[: kept + 1]) > length


@given(runs)
def test_files(runs: list[tuple[int, int]]) -> None:
    tape, objects = mapped(runs)
    expected: list[tuple[int, int]] = []
    records = length = 0
    for size in objects:
        if size == FILEMARK:
            expected.append((records, length))
            records = length = 0
        else:
            records, length = records + 1, length + size
    if records:
        expected.append((records, length))
    found = list(tape.files())
    assert [(file.records, file.length) for file in found] == expected
    assert [file.number for file in found] == list(range(len(found)))
    for file in found:
        assert tape.file_start(file.first_object) == file.first_object
        assert tape.marks_before(file.first_object) == file.number
