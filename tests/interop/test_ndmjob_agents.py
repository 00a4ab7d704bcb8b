"""NDMJOB serves one half of a backup, tapekit the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from interop_peers import need
from ndmjob_agent import NdmjobAgent, ndmjob_agent
from ndmjob_index import names_in
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack

VOLUME = "/vs1/vol1"
ENDED_WELL = "Operation ended OKAY"


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[NdmjobAgent]:
    need("ndmjob")
    with ndmjob_agent(tmp_path / "ndmjob") as agent:
        yield agent


def differences(first: Path, second: Path) -> list[str]:
    return [str(each) for each in compare_trees(first, second) if each.path != "."]


@pytest.mark.requirement("R169")
@pytest.mark.requirement("R170")
@pytest.mark.parametrize("who_listens", ["mover", "data"])
def test_a_volume_goes_to_a_tape_server_of_another_make(
    stack: Stack, tmp_path: Path, foreign: NdmjobAgent, who_listens: str
) -> None:
    make_tree(stack.volume, files=60, seed=3, wide=100, deep=5, far=1 << 20)
    names = {
        os.fsencode(name) for _, *both in os.walk(stack.volume) for part in both for name in part
    }
    index = tmp_path / "index"
    swap = ("-o", "swap-connect") if who_listens == "data" else ()
    agents = ("-D", stack.agent(), "-T", foreign.agent, "-f", str(foreign.tape), *swap)
    done = stack.ndmjob(
        *("-v", "-c", "-B", "dump", *agents),
        *("-E", f"FILESYSTEM={VOLUME}", "-I", str(index)),
    )
    assert ENDED_WELL in done.stdout, done.stdout
    assert names_in(index) - {b".", b".."} == names
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", *agents),
        *("-E", f"FILESYSTEM={VOLUME}", "-J", str(index), "-C", f"{VOLUME}/back"),
    )
    assert ENDED_WELL in done.stdout, done.stdout
    kept = tmp_path / "kept"
    (stack.volume / "back").rename(kept)
    assert differences(stack.volume, kept) == []


@pytest.mark.requirement("R170")
def test_a_data_server_of_another_make_uses_a_tape_here(
    stack: Stack, tmp_path: Path, foreign: NdmjobAgent
) -> None:
    source, target, index = tmp_path / "source", tmp_path / "target", tmp_path / "index"
    target.mkdir()
    plain_tree(source)
    agents = ("-D", foreign.agent, "-T", stack.agent(), "-f", "nrst0a")
    done = stack.ndmjob(
        *("-v", "-c", "-B", "tar", *agents),
        *("-E", f"FILESYSTEM={source}", "-I", str(index)),
    )
    assert ENDED_WELL in done.stdout, done.stdout
    history = index.read_text().splitlines()
    named = {line.split()[1] for line in history if line.startswith("DHf ")}
    assert named == {f"/{path.relative_to(source)}" for path in source.rglob("*")}
    done = stack.ndmjob(
        *("-v", "-x", "-B", "tar", *agents),
        *("-E", f"FILESYSTEM={source}", "-J", str(index), "-C", str(target)),
    )
    assert ENDED_WELL in done.stdout, done.stdout
    assert differences(source, target) == []


def plain_tree(root: Path) -> None:
    """Files, directories and a link; GNU tar is not on trial here."""
    for number in range(40):
        file = root / f"directory{number % 4}" / f"file{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 5000))
    (root / "link").symlink_to("directory0")
