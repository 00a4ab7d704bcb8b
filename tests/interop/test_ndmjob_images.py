"""NDMJOB takes images of a volume, and restores them; about twelve seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from interop_peers import need
from tapekit_trees.comparing import compare_trees
from tapekit_trees.editing import edit_tree
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack

TARGET = "/vs1/back"


@pytest.mark.requirement("R006")
def test_a_baseline_and_an_increment_by_ndmjob_come_back_equal(
    stack: Stack, tmp_path: Path
) -> None:
    need("ndmjob")
    back = stack.volume.with_name("back")
    back.mkdir()
    with stack.file.open("a") as file:
        file.write(f'[[volumes.volume]]\npath = "{TARGET}"\ndirectory = "{back}"\n')
        file.write('type = "dp"\nsnapshots = "copy"\n')
    stack.stop()
    stack.start()
    make_tree(stack.volume, files=60, seed=5, wide=40, deep=5, far=1 << 20)
    here = ["-D", stack.agent()]
    known = run(stack, here, tmp_path / "first", "nrst0a")
    restore(stack, here, tmp_path / "first", "nrst0a")
    assert [str(each) for each in compare_trees(stack.volume, back)] == []
    edit_tree(stack.volume, 1)
    stack.tapekit("volume", "snapshot", "create", str(stack.file), "/vs1/vol1", "later")
    more = (f"BASE_DATE={known['DUMP_DATE']}", "SMTAPE_SNAPSHOT_NAME=later")
    set_id = f"SMTAPE_BACKUP_SET_ID={known['SMTAPE_BACKUP_SET_ID']}"
    three_way = [*here, "-T", stack.agent()]
    run(stack, three_way, tmp_path / "second", "nrst1a", *more, set_id)
    restore(stack, three_way, tmp_path / "second", "nrst1a")
    assert [str(each) for each in compare_trees(stack.volume, back)] == []


def run(stack: Stack, sessions: list[str], index: Path, device: str, *more: str) -> dict[str, str]:
    """Back the volume up; gives the variables that come back."""
    variables = [word for each in ("FILESYSTEM=/vs1/vol1", *more) for word in ("-E", each)]
    done = stack.ndmjob(
        *("-v", "-c", "-B", "smtape", *sessions, "-f", device, "-b", "128"),
        *(*variables, "-I", str(index)),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    return dict(re.findall(r"DE (\w+)=(.*)", index.read_text()))


def restore(stack: Stack, sessions: list[str], index: Path, device: str) -> None:
    stack.tapekit("volume", "restrict", str(stack.file), TARGET)
    done = stack.ndmjob(
        *("-v", "-x", "-B", "smtape", *sessions, "-f", device, "-b", "128"),
        *("-E", f"FILESYSTEM={TARGET}", "-J", str(index), "-C", TARGET),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
