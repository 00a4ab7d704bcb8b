"""The outline of a dump, and the part of a plan that is left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.plan import Step, StepKind
from tapekit_dump.restart_outline import steps_from
from tapekit_trees.restarts import RestartSite

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.integers(1, 5), max_size=9), st.integers(0, 60))
def test_no_object_is_lost_or_written_twice(sizes: list[int], number: int) -> None:
    plan, following = [], 3
    for depth, size in enumerate(sizes):
        plan.append(Step(StepKind.DIRECTORY, 2, depth, [b"d%d" % depth]))
        names = [b"%d" % each for each in range(following, following + size)]
        plan.append(Step(StepKind.REGULAR, following, 0, names))
        following += size
    left = list(steps_from(plan, number))
    written = [
        (step.first + index, name)
        for step in left
        if step.kind is StepKind.REGULAR
        for index, name in enumerate(step.names)
    ]
    assert written == [(each, b"%d" % each) for each in range(max(3, number), following)]
    assert [step.depth for step in left if step.kind is StepKind.DIRECTORY] == [*range(len(sizes))]


def test_access_times_may_change_between_the_runs(tmp_path: Path) -> None:
    site = RestartSite(tmp_path)
    for index in range(30):
        (site.volume / f"folder{index}").mkdir()
        (site.volume / f"folder{index}" / "file").write_bytes(bytes(250_000))
    first = site.back_up(("RESTARTABLE", "Y"), breaks_after=6 << 20)
    (copy,) = site.copies()
    for folder in (site.folder / "volume.snapshots" / copy).iterdir():
        os.utime(folder, ns=(5, folder.stat().st_mtime_ns))
    rest = site.back_up(("RESTART_CONTEXT", first.context))
    assert rest.is_complete
    assert 0 < rest.position <= len(first.data)
