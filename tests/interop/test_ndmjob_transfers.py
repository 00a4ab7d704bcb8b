"""NDMJOB drives a backup and a restore, and everything comes back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from interop_peers import need
from ndmjob_index import names_in
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack

SESSIONS = pytest.mark.parametrize("agents", [1, 2], ids=["one session", "two sessions"])


@pytest.mark.requirement("R007")
@pytest.mark.requirement("R003")
@pytest.mark.requirement("R139")
@SESSIONS
@pytest.mark.parametrize("who_listens", ["mover", "data"])
def test_a_backup_by_ndmjob_comes_back_equal(
    stack: Stack, tmp_path: Path, agents: int, who_listens: str
) -> None:
    need("ndmjob")
    make_tree(stack.volume, files=100, seed=5, wide=200, deep=10, far=1 << 20)
    names = {
        os.fsencode(name) for _, *both in os.walk(stack.volume) for part in both for name in part
    }
    sessions = ["-D", stack.agent()] + (["-T", stack.agent()] if agents == 2 else [])
    if who_listens == "data":
        sessions += ["-o", "swap-connect"]
    index = tmp_path / "index"
    done = stack.ndmjob(
        *("-v", "-c", "-B", "dump", *sessions, "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    assert names_in(index) - {b".", b".."} == names
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", *sessions, "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-J", str(index), "-C", "/vs1/vol1/back"),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    kept = tmp_path / "kept"
    (stack.volume / "back").rename(kept)
    assert [str(each) for each in compare_trees(stack.volume, kept) if each.path != "."] == []


def test_ndmjob_restores_one_file_under_another_name(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob")
    (stack.volume / "dir").mkdir()
    (stack.volume / "dir" / "wanted").write_bytes(b"wanted" * 1000)
    (stack.volume / "dir" / "other").write_bytes(b"other")
    index = tmp_path / "index"
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    stack.ndmjob(
        *("-x", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-J", str(index)),
        *("-E", "EXTRACT=E", "-C", "/vs1/vol1/back", "named=dir/wanted"),
    )
    assert sorted(each.name for each in (stack.volume / "back").rglob("*")) == ["named"]
    assert (stack.volume / "back" / "named").read_bytes() == b"wanted" * 1000


@pytest.mark.requirement("R241")
@pytest.mark.requirement("R242")
@pytest.mark.parametrize("blocks", [8, 20, 127, 200], ids=lambda blocks: f"{blocks * 512} bytes")
def test_record_sizes_of_ndmjob(stack: Stack, tmp_path: Path, blocks: int) -> None:
    need("ndmjob")
    (stack.volume / "file").write_bytes(os.urandom(3_000_000))
    for mode, more in (("-c", ()), ("-x", ("-C", "/vs1/vol1/back"))):
        done = stack.ndmjob(
            *("-v", mode, "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-b", str(blocks)),
            *("-E", "FILESYSTEM=/vs1/vol1", *more),
        )
        assert "Operation ended OKAY" in done.stdout, done.stdout
    (rows,) = [row for row in stack.cartridges() if row["barcode"] == "VT0001"]
    assert (stack.volume / "back" / "file").read_bytes() == (stack.volume / "file").read_bytes()
    assert rows
