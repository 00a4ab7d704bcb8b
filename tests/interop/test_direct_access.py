"""NDMJOB goes straight to the files that it restores."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from interop_peers import need, program
from ndmjob_agent import ndmjob_agent
from running_stack import make_stack, run_checked
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from ndmjob_agent import NdmjobAgent
    from running_stack import Stack

MIB = 1 << 20
SESSIONS = pytest.mark.parametrize("agents", [1, 2], ids=["one session", "two sessions"])


def bytes_read(log: str) -> int:
    """What the engine says that it has read."""
    (count,) = re.findall(r"directly; (\d+) bytes were read", log)
    return int(count)


@pytest.mark.requirement("R131")
@SESSIONS
def test_ndmjob_restores_single_files_directly(stack: Stack, tmp_path: Path, agents: int) -> None:
    need("ndmjob")
    for number in range(5):
        below = stack.volume / f"dir{number}"
        below.mkdir()
        (below / "large").write_bytes(os.urandom(8 * MIB))
        (below / "small").write_bytes(b"%d" % number * 5000)
    sessions = ["-D", stack.agent()] + (["-T", stack.agent()] if agents == 2 else [])
    index = tmp_path / "index"
    stack.ndmjob(
        *("-c", "-B", "dump", *sessions, "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", *sessions, "-f", "nrst0a", "-J", str(index)),
        *("-E", "DIRECT=y", "-C", "/vs1/vol1/back", "dir1/small", "dir4/small"),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    assert bytes_read(done.stdout) < MIB
    restored = {
        str(each.relative_to(stack.volume / "back")) for each in stack.volume.glob("back/*/*")
    }
    assert restored == {"dir1/small", "dir4/small"}
    for path in restored:
        assert (stack.volume / "back" / path).read_bytes() == (stack.volume / path).read_bytes()


@pytest.mark.requirement("R134")
def test_ndmjob_restores_a_directory_directly(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob")
    for name in ("a", "b", "c"):
        below = stack.volume / name / "inner"
        below.mkdir(parents=True)
        (below.parent / "large").write_bytes(os.urandom(8 * MIB))
        (below / "small").write_bytes(name.encode() * 5000)
    index = tmp_path / "index"
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    position = re.search(r"OFFSET_MAP_START=(\d+)", index.read_text("latin-1"))
    assert position is not None
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-J", str(index)),
        *("-E", "DIRECT=y", "-E", "ENHANCED_DAR_ENABLED=y"),
        *("-C", "/vs1/vol1/back", "b/inner"),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    assert bytes_read(done.stdout) < 16 * MIB
    assert (stack.volume / "back/b/inner/small").read_bytes() == b"b" * 5000
    assert not (stack.volume / "back/a").exists()


@pytest.mark.requirement("R131")
def test_a_mover_of_another_make_sends_whole_records(tmp_path: Path) -> None:
    need("ndmjob")
    stack = make_stack(tmp_path / "stack")
    # NDMJOB's records have 10,240 bytes unless told otherwise.
    with stack.file.open("a") as file:
        file.write("\n[ndmp_v4]\nrange_multiple_bytes = 10240\n")
    stack.start()
    try:
        with ndmjob_agent(tmp_path / "ndmjob") as foreign:
            recover_from(stack, foreign, tmp_path / "index")
    finally:
        assert stack.stop() == 0


def recover_from(stack: Stack, foreign: NdmjobAgent, index: Path) -> None:
    for number in range(4):
        (stack.volume / f"large{number}").write_bytes(os.urandom(3 * MIB))
        (stack.volume / f"small{number}").write_bytes(b"%d" % number * 7000)
    agents = ("-D", stack.agent(), "-T", foreign.agent, "-f", str(foreign.tape))
    stack.ndmjob(
        *("-c", "-B", "dump", *agents, "-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", *agents, "-J", str(index)),
        *("-E", "DIRECT=y", "-C", "/vs1/vol1/back", "small1", "large2"),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    assert bytes_read(done.stdout) < 4 * MIB
    for path in ("small1", "large2"):
        assert (stack.volume / "back" / path).read_bytes() == (stack.volume / path).read_bytes()


@pytest.mark.requirement("R192")
@pytest.mark.skipif(os.geteuid() != 0, reason="Debian's restore gives files to their owners")
def test_debian_restore_takes_no_notice_of_the_offset_map(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob", "restore")
    make_tree(stack.volume, files=80, seed=4, wide=50, deep=5, far=1 << 20)
    index, target = tmp_path / "index", tmp_path / "target"
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1", "-I", str(index)),
    )
    assert "OFFSET_MAP_START=" in index.read_text("latin-1")
    image = stack.export("VT0001", 0, tmp_path / "image")
    for folder in (target, tmp_path / "temporary"):
        folder.mkdir()
    restore = (program("restore"), "-r", "-T", tmp_path / "temporary", "-f", image)
    said = run_checked(restore, cwd=target)
    assert "expected next file" not in said
    (target / "restoresymtable").unlink()
    assert [str(each) for each in compare_trees(stack.volume, target) if each.path != "."] == []
