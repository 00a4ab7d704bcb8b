"""Times of birth, where a file system tells them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit.births import birth_time_ns, birth_time_of_open_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 10**9


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """A directory with a file, made now, that says it is old."""
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (0, 0))
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_time_of_birth_is_that_of_the_object_itself(directory: int, tmp_path: Path) -> None:
    born = birth_time_ns(b"file", directory)
    if born is None:
        pytest.skip("this file system keeps no times of birth")
    assert 0 <= (tmp_path / "file").stat().st_ctime_ns - born < 60 * SECOND
    (tmp_path / "link").symlink_to("gone")
    assert birth_time_ns(b"link", directory) is not None
    assert birth_time_ns(b"gone", directory) is None


def test_an_open_object_tells_the_same(directory: int) -> None:
    file = os.open("file", os.O_RDONLY, dir_fd=directory)
    try:
        assert birth_time_of_open_ns(file) == birth_time_ns(b"file", directory)
    finally:
        os.close(file)
