"""Bases found and left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.storage import Origin
from tapekit_dump.dates import NAMESPACE, NUMBERS_NAMESPACE

if TYPE_CHECKING:
    import os


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_base_whose_numbers_are_lost_is_none(epochs: Any, harm: str) -> None:
    (epochs.volume / "file").touch()
    epochs.back_up()
    state = epochs.engine._dates._state
    (page,) = state.items(NUMBERS_NAMESPACE)
    state.change(NUMBERS_NAMESPACE, {page: None if harm == "missing" else b"damaged"})
    before = open_descriptors()
    backup = epochs.back_up(("LEVEL", "1"))
    assert backup.dumped == {b"", b"file"}
    (warning,) = backup.warnings
    assert "cannot be used (" in warning
    assert "so this one is a full backup of level 0" in warning
    assert open_descriptors() == before


@pytest.mark.parametrize("is_told", [True, False])
def test_a_base_that_does_not_tell_its_limits_may_have_had_any(epochs: Any, is_told: bool) -> None:
    (epochs.volume / "directory").mkdir()
    (epochs.volume / "directory/file").touch()
    epochs.back_up()
    if not is_told:
        state = epochs.engine._dates._state
        ((path, value),) = state.items(NAMESPACE).items()
        state.change(NAMESPACE, {path: value.replace(b',"limits":""', b"")})
    backup = epochs.back_up(("LEVEL", "1"))
    assert backup.dumped == ({b""} if is_told else {b"", b"directory"})
    told = [text for _, text in backup.services.messages if "does not tell what" in text]
    assert len(told) == (0 if is_told else 1)
    # Its own note is there for the next.
    assert epochs.back_up(("LEVEL", "2")).dumped == {b""}


def test_a_level_holds_nothing_open_afterwards(epochs: Any) -> None:
    (epochs.volume / "file").touch()
    epochs.back_up()
    before = open_descriptors()
    for level in (1, 2):
        (epochs.volume / f"file{level}").touch()
        epochs.back_up(("LEVEL", str(level)))
    assert open_descriptors() == before


def test_copies_are_told_by_the_inode_numbers_of_the_volume(epochs: Any, volume: Path) -> None:
    """As if each backup read a copy, whose objects have other inode numbers."""
    (volume / "file").touch()
    (volume / "directory").mkdir()
    offset, open_backup = 0, epochs.storage.open_backup

    class Copy:
        def __init__(self, tree: Any) -> None:
            self._tree = tree

        def __getattr__(self, name: str) -> Any:
            return getattr(self._tree, name)

        def origin(self, status: os.stat_result) -> Origin:
            found = self._tree.origin(status)
            return Origin(found.inode + 2**40 * offset, found.ctime_ns)

    epochs.storage.open_backup = lambda *how, **may: Copy(open_backup(*how, **may))
    full = epochs.back_up()
    assert epochs.back_up(("LEVEL", "1")).dumped == {b""}
    offset = 1
    # Now nothing is what it was, and everything is new.
    level2 = epochs.back_up(("LEVEL", "2"))
    assert level2.dumped == {b"", b"file", b"directory"}
    assert min(level2.paths[b"file"], level2.paths[b"directory"]) > max(full.paths.values())


def test_inode_numbers_of_several_objects_are_not_relied_on(epochs: Any) -> None:
    for name in ("a", "b", "c"):
        (epochs.volume / name).write_text(name)
    full = epochs.back_up()
    same = (epochs.volume / "a").stat().st_ino
    open_backup = epochs.storage.open_backup

    class Unreliable:
        def __init__(self, tree: Any) -> None:
            self._tree = tree

        def __getattr__(self, name: str) -> Any:
            return getattr(self._tree, name)

        def origin(self, status: os.stat_result) -> Origin:
            return Origin(same, self._tree.origin(status).ctime_ns)

    epochs.storage.open_backup = lambda *how, **may: Unreliable(open_backup(*how, **may))
    for level in (1, 2):
        backup = epochs.back_up(("LEVEL", str(level)))
        assert len({backup.paths[name] for name in (b"a", b"b", b"c")}) == 3
        assert len(backup.dumped & {b"a", b"b", b"c"}) >= 2
        assert {path for path in backup.dumped if backup.content(path) == path} >= backup.dumped - {
            b""
        }
    assert set(full.paths) == set(backup.paths)
