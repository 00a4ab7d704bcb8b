"""The plan between the two passes."""

from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.plan import Plan, Step, StepKind
from tapekit_dump.spool import SpoolRoom

NAME = st.binary(min_size=1, max_size=255).map(lambda name: name.replace(b"\0", b"0"))
STEPS = st.lists(
    st.one_of(
        st.builds(
            Step,
            kind=st.just(StepKind.DIRECTORY),
            first=st.integers(2, 2**32 - 1),
            depth=st.integers(0, 5000),
            names=st.lists(NAME, min_size=1, max_size=1),
        ),
        st.builds(
            Step,
            kind=st.sampled_from([StepKind.REGULAR, StepKind.SYMLINK, StepKind.OTHER]),
            first=st.integers(2, 2**32 - 1),
            depth=st.just(0),
            names=st.lists(NAME, min_size=1, max_size=30),
        ),
    )
)


def put(plan: Plan, step: Step) -> None:
    if step.kind is StepKind.DIRECTORY:
        plan.directory(step.first, step.depth, step.names[0])
    else:
        plan.names(step.kind, step.first, step.names)


@given(STEPS)
def test_steps_come_back(steps: list[Step]) -> None:
    with closing(Plan(SpoolRoom(None, 100).spool())) as plan:
        for step in steps:
            put(plan, step)
        assert list(plan) == steps


def test_step_larger_than_what_is_read_at_once_is_whole() -> None:
    steps = [
        Step(StepKind.DIRECTORY, 2, 0, [b"top"]),
        Step(StepKind.REGULAR, 3, 0, [b"%0250d" % n for n in range(10_000)]),
        Step(StepKind.SYMLINK, 10_003, 0, [b"last"]),
    ]
    with closing(Plan(SpoolRoom(None, 100).spool())) as plan:
        for step in steps:
            put(plan, step)
        assert list(plan) == steps


def test_root_has_an_empty_name() -> None:
    with closing(Plan(SpoolRoom(None, 100).spool())) as plan:
        plan.directory(2, 0, b"")
        assert list(plan) == [Step(StepKind.DIRECTORY, 2, 0, [b""])]
