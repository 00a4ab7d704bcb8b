"""Volumes that a restore writes to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import PathNotPermitted
from tapekit.hookspecs.storage import TreeTraits
from tapekit.testing.errors import CATALOGUE
from tapekit_dump.recover_destination import Destination
from tapekit_dump.recover_selection import plan_views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class MemoryTree:
    def __init__(self, path: str, folder: Path) -> None:
        self.path = path
        self.descriptor = os.open(folder, os.O_RDONLY)
        self.traits = TreeTraits()
        self.is_closed = False

    def close(self) -> None:
        os.close(self.descriptor)
        self.is_closed = True


class MemoryStorage:
    """Every path is the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trees: list[MemoryTree] = []

    def open_restore(self, path: str, holder: str) -> MemoryTree:
        self.trees.append(MemoryTree(path, self.folder))
        return self.trees[-1]


class FailingStorage:
    def open_restore(self, path: str, holder: str) -> Any:
        raise PermissionError(13, "Permission denied")


def destination(storage: Any, select: Callable[..., Any], *targets: tuple[str, str]) -> Destination:
    return Destination(storage, "tests", plan_views([select(*t) for t in targets], None, None))


def test_each_volume_is_opened_where_all_its_targets_are(
    tmp_path: Path, select: Callable[..., Any]
) -> None:
    storage = MemoryStorage(tmp_path)
    chosen = destination(
        storage,
        select,
        ("a", "/v/one/x/y/a"),
        ("b", "/v/one/x/z/b"),
        ("c", "/v/two/c"),
        ("", "/v/three/deep/down"),
    )
    chosen.hold_volumes()
    assert [tree.path for tree in storage.trees] == ["/v/one", "/v/two", "/v/three"]
    tops = chosen.tops()
    assert [tree.path for tree in storage.trees[3:]] == ["/v/one/x", "/v/three/deep/down"]
    ways = [way for _, way in tops.values()]
    assert ways == [(b"y", b"a"), (b"z", b"b"), (b"c",), ()]
    chosen.flush()
    chosen.close()
    chosen.close()
    assert all(tree.is_closed for tree in storage.trees)


def test_nothing_is_opened_unless_every_target_is_permitted(
    tmp_path: Path, select: Callable[..., Any]
) -> None:
    def permit(path: str) -> None:
        asked.append(path)
        if not path.startswith("/v/"):
            raise CATALOGUE.raised_as(PathNotPermitted, "path-not-permitted", path=path)

    asked: list[str] = []
    storage = MemoryStorage(tmp_path)
    chosen = destination(storage, select, ("a", "/v/one/a"), ("b", "//./w/two/b"))
    with pytest.raises(PathNotPermitted, match="/w/two/b"):
        chosen.check_permits(permit)
    assert asked == ["/v/one/a", "/w/two/b"], "as they would be opened"
    assert storage.trees == []


def test_a_directory_that_cannot_be_opened_is_named(select: Callable[..., Any]) -> None:
    chosen = destination(FailingStorage(), select, ("a", "/v/one/a"))
    with pytest.raises(TapekitError) as caught:
        chosen.hold_volumes()
    assert str(caught.value) == "/v/one cannot be used as a destination: Permission denied"


def test_a_file_system_that_cannot_write_back_is_told(
    tmp_path: Path, select: Callable[..., Any]
) -> None:
    storage = MemoryStorage(tmp_path)
    chosen = destination(storage, select, ("a", "/v/one/a"))
    chosen.hold_volumes()
    # A reference cannot be flushed through: the call fails as a broken disk would.
    (tree,) = storage.trees
    reference = os.open(tmp_path, os.O_PATH)
    os.dup2(reference, tree.descriptor)
    os.close(reference)
    with pytest.raises(TapekitError) as caught:
        chosen.flush()
    assert caught.value.id == "dump.sync-failed"
    chosen.close()
