"""Judging objects by their times."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.births import birth_time_ns
from tapekit_dump.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECOND = 10**9
MOMENT = 1_600_000_000
LONG_AGO = (MOMENT - 100) * SECOND


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """A directory with a file, made now, that says it is old."""
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", ns=(LONG_AGO, LONG_AGO))
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def status_of(directory: int, name: bytes = b"file") -> os.stat_result:
    return os.stat(name, dir_fd=directory)


def unknown_birth(directory: int, name: bytes) -> None:
    """As in copies of file systems that tell no times of birth."""


def changes(
    moment_s: int = MOMENT,
    *,
    ignore_ctime: bool = False,
    birth_ns: Callable[[int, bytes], int | None] = lambda where, name: birth_time_ns(name, where),
) -> Changes:
    return Changes(moment_s, ignore_ctime=ignore_ctime, birth_ns=birth_ns)


@pytest.mark.parametrize(("offset_ns", "is_changed"), [(-1, False), (0, True), (1, True)])
def test_what_happened_in_the_second_of_the_base_counts(
    directory: int, offset_ns: int, is_changed: bool
) -> None:
    status, ctime_ns = status_of(directory), MOMENT * SECOND + offset_ns
    assert changes().is_changed(directory, b"file", status, ctime_ns) is is_changed


@pytest.mark.requirement("R140")
def test_a_change_time_alone_can_be_ignored(directory: int, tmp_path: Path) -> None:
    ignoring = changes(ignore_ctime=True)
    late = (MOMENT + 1) * SECOND
    assert not ignoring.is_changed(directory, b"file", status_of(directory), late)
    os.utime(tmp_path / "file", ns=(late, late))
    assert ignoring.is_changed(directory, b"file", status_of(directory), late)


@pytest.mark.requirement("R140")
def test_directories_always_go_by_their_change_time(directory: int, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    os.utime(tmp_path / "below", ns=(LONG_AGO, LONG_AGO))
    status, late = status_of(directory, b"below"), (MOMENT + 1) * SECOND
    assert changes(ignore_ctime=True).is_changed(directory, b"below", status, late)


def test_without_times_of_birth_change_times_count_after_all(directory: int) -> None:
    ignoring, late = changes(ignore_ctime=True, birth_ns=unknown_birth), (MOMENT + 1) * SECOND
    assert ignoring.is_changed(directory, b"file", status_of(directory), late)
    assert not ignoring.is_changed(directory, b"file", status_of(directory), LONG_AGO)


def test_what_was_born_after_the_base_is_another_object(directory: int) -> None:
    late = (MOMENT + 1) * SECOND
    assert changes().is_another(directory, b"file", late)
    assert not changes().is_another(directory, b"file", LONG_AGO)
    assert not changes(birth_ns=unknown_birth).is_another(directory, b"file", late)
    far = 2**33
    assert not changes(far).is_another(directory, b"file", (far + 1) * SECOND)


@pytest.mark.requirement("R140")
@pytest.mark.parametrize(("ignore", "dumped"), [("N", {b"", b"old"}), ("Y", {b""})])
def test_level_leaves_out_what_only_changed_its_ctime(
    epochs: Any, ignore: str, dumped: set[bytes]
) -> None:
    class Live:
        """The tree of an epoch as if it were the volume, made long ago."""

        def __init__(self, tree: Any) -> None:
            self._tree = tree

        def __getattr__(self, name: str) -> Any:
            return getattr(self._tree, name)

        def birth_ns(self, directory: int, name: bytes) -> int | None:
            return birth_time_ns(name, directory)

    (epochs.volume / "old").touch()
    os.utime(epochs.volume / "old", ns=(LONG_AGO, LONG_AGO))
    born = (epochs.volume / "old").stat().st_ctime_ns // SECOND + 1
    open_backup = epochs.storage.open_backup

    def open_live(*how: Any, **may: bool) -> Live:
        tree = Live(open_backup(*how, **may))
        tree.snapshot_name, tree.taken_at_s = None, born
        return tree

    epochs.storage.open_backup = open_live
    epochs.back_up()
    while (epochs.volume / "old").stat().st_ctime_ns < born * SECOND:
        (epochs.volume / "old").chmod(0o600)
    assert epochs.back_up(("LEVEL", "1"), ("IGNORE_CTIME", ignore)).dumped == dumped


def test_an_inode_number_used_again_is_another_object(site: Any) -> None:
    (site.volume / "file").touch()
    full = site.back_up()
    level1 = site.back_up(("LEVEL", "1"))
    # The base is of 2023 and all that is there was born after it.
    assert level1.dumped == {b"", b"file"}
    assert level1.paths[b"file"] == full.paths[b"file"] + 1
