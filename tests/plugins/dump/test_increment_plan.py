"""Plans whose names come in any order."""

from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.increment_plan import IncrementPlan
from tapekit_dump.plan import StepKind
from tapekit_dump.spool import SpoolRoom

ROOM = SpoolRoom(None, 300)
KINDS = st.sampled_from([StepKind.REGULAR, StepKind.SYMLINK, StepKind.OTHER])
WALKS = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.tuples(st.integers(3, 300), KINDS), max_size=8)),
    max_size=25,
)


@given(WALKS, st.integers(2, 50))
def test_steps_lead_to_each_name_by_ascending_number(
    walk: list[tuple[int, list[tuple[int, StepKind]]]], sorted_in_memory: int
) -> None:
    expected: dict[int, tuple[list[bytes], StepKind]] = {}
    path: list[bytes] = []
    with closing(IncrementPlan(ROOM, sorted_in_memory)) as plan:
        plan.enter(0, b"")
        for at, (wish, names) in enumerate(walk):
            depth = min(wish, len(path) + 1)
            path[depth - 1 :] = [b"d%d" % at]
            plan.enter(depth, path[-1])
            for number, kind in names:
                if number not in expected:
                    expected[number] = [*path, b"n%d" % number], kind
                    plan.add(number, kind, b"n%d" % number)
        here: list[bytes] = []
        found: dict[int, tuple[list[bytes], StepKind]] = {}
        for kind, first, depth, names in plan:
            if kind is StepKind.DIRECTORY:
                here[max(0, depth - 1) :] = [names[0]] if depth else []
            else:
                for number, name in enumerate(names, first):
                    found[number] = [*here, name], kind
        assert list(found) == sorted(expected)
        assert found == expected


def test_names_that_follow_each_other_are_one_step() -> None:
    with closing(IncrementPlan(ROOM)) as plan:
        plan.enter(0, b"")
        for number in (5, 3, 4, 7):
            plan.add(number, StepKind.REGULAR, b"%d" % number)
        steps = [(first, list(names)) for kind, first, _, names in plan]
        assert steps == [(0, [b""]), (3, [b"3", b"4", b"5"]), (7, [b"7"])]
