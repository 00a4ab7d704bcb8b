"""What the engine backs up, the engine brings back."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit.births import birth_time_ns
from tapekit.hookspecs.data_engine import LogLevel
from tapekit.hookspecs.storage import Origin, TreeTraits
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.kernel.volume_jobs import JobRegistry
from tapekit.testing.memory_connection import MemorySink, MemorySource
from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.engine import DumpEngine
from tapekit_dump.recover_job import RecoverOptions
from tapekit_dump.settings import DumpSettings
from tapekit_dump.variables import VARIABLES
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree, random_tree

if TYPE_CHECKING:
    from collections.abc import Callable

DATE = 1_600_000_000


class FolderTree:
    volume_path = "/vs1/vol1"
    subpath = ""
    snapshot_name = None
    taken_at_s = DATE
    traits = TreeTraits()

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def origin(self, status: os.stat_result) -> Origin:
        return Origin(status.st_ino, status.st_ctime_ns)

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        return birth_time_ns(name, directory)

    def close(self) -> None:
        os.close(self.descriptor)


def backed_up(folder: Path, **variables: str) -> bytes:
    kernel: Any = SimpleNamespace(
        storage=SimpleNamespace(
            check_backup=lambda path, **may: None,
            open_backup=lambda path, holder, keep_going, **may: FolderTree(folder),
        ),
        state=MemoryStateStore(),
        base_directory=folder,
        node_name="node",
        variables=lambda engine: VARIABLES,
        announce=lambda event: None,
        clock=lambda: float(DATE),
        volume_jobs=JobRegistry(lambda: float(DATE)),
    )
    engine = DumpEngine(DumpSettings())
    engine.assembled(kernel)
    sink = MemorySink()
    job = engine.prepare_backup([("FILESYSTEM", "/vs1/vol1"), *variables.items()], "tests")
    try:
        job.run(sink, MemoryServices())
    finally:
        job.close()
    return sink.data


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    objects=st.integers(0, 40),
    threads=st.integers(0, 2),
    cuts=st.sampled_from([[1 << 20], [1000, 70_001], [512]]),
)
def test_random_trees_come_back(
    restore_to: Callable[..., Any], seed: int, objects: int, threads: int, cuts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, folder = Path(place) / "source", Path(place) / "restored"
        random_tree(source, seed, objects=objects)
        folder.mkdir()
        outcome = restore_to(
            folder,
            backed_up(source),
            options=RecoverOptions(threads=threads, names_in_memory=5),
            make=lambda _, part: MemorySource(part, cuts=cuts),
        )
        assert outcome.error is None
        assert outcome.told(LogLevel.WARNING) == []
        assert compare_trees(source, folder) == []


@pytest.mark.requirement("R250")
def test_a_tree_with_everything_comes_back(
    restore: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    make_tree(source, wide=300, deep=30, files=60, far=8 << 20)
    outcome = restore(backed_up(source))
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == []
    assert compare_trees(source, folder) == []


def test_a_part_of_a_tree_comes_back_elsewhere(
    restore: Callable[..., Any], select: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    make_tree(source, wide=20, deep=5, files=20, far=1 << 20)
    outcome = restore(
        backed_up(source),
        [select("links", "/vs1/vol1/a/b"), select("/sparse/comb", "/vs1/vol1/c")],
    )
    assert outcome.error is None
    assert compare_trees(source / "links", folder / "a/b") == []
    assert (folder / "c").read_bytes() == (source / "sparse/comb").read_bytes()


def test_restoring_twice_gives_the_same_tree(
    restore: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    make_tree(source, wide=20, deep=5, files=20, far=1 << 20)
    data = backed_up(source)
    assert restore(data).error is None
    assert restore(data).error is None
    assert compare_trees(source, folder) == []
