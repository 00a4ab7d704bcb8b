from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit_trees.btrfs import make_subvolume, mounted_btrfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system for all tests of a module."""
    with mounted_btrfs(tmp_path_factory.mktemp("btrfs")) as place:
        yield place


@pytest.fixture
def place(btrfs: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own on it."""
    folder = btrfs / request.node.name
    folder.mkdir()
    return folder


@pytest.fixture
def volume(place: Path) -> Path:
    """A subvolume with a file in it."""
    top = make_subvolume(place / "volume")
    (top / "file").write_bytes(b"as it was")
    return top
