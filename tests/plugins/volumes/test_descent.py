from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_volumes.descent import make_below, open_below

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@contextlib.contextmanager
def same_descriptors() -> Iterator[None]:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    yield
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def inode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


@pytest.fixture(params=[open_below, make_below])
def down(request: pytest.FixtureRequest) -> Iterator[object]:
    with same_descriptors():
        yield request.param


def test_parts_lead_to_their_directory(tmp_path: Path, top: int, down: type) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert inode(down(top, (), "/v/v")) == tmp_path.stat().st_ino
    assert inode(down(top, (b"a", b"b"), "/v/v")) == (tmp_path / "a" / "b").stat().st_ino


def test_symbolic_links_are_refused_wherever_they_lead(
    tmp_path: Path, top: int, down: type
) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    for parts in ((b"link",), (b"link", b"inner")):
        with pytest.raises(TapekitError, match=r"^/v/v/link is a symbolic link") as caught:
            down(top, parts, "/v/v")
        assert caught.value.id == "volumes.path-through-link"


def test_files_are_refused(tmp_path: Path, top: int, down: type) -> None:
    (tmp_path / "file").write_bytes(b"")
    for parts in ((b"file",), (b"file", b"inner")):
        with pytest.raises(TapekitError, match=r"^/v/v/file is not a directory") as caught:
            down(top, parts, "/v/v")
        assert caught.value.id == "volumes.path-is-no-directory"
        assert "that it is in, /v/v;" in caught.value.explained


def test_names_that_are_too_long_are_refused(top: int) -> None:
    with pytest.raises(TapekitError, match="File name too long"):
        open_below(top, (b"n" * 300,), "/v/v")
    with pytest.raises(TapekitError, match="cannot be made: File name too long"):
        make_below(top, (b"n" * 300,), "/v/v")


def test_a_missing_directory_is_named(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").mkdir()
    with same_descriptors(), pytest.raises(TapekitError) as caught:
        open_below(top, (b"a", b"b\xff", b"c"), "/v/v")
    assert str(caught.value) == "/v/v/a/b\\xff: no such directory in /v/v/a"


def test_missing_directories_are_made_with_mode_0755(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        os.close(make_below(top, (b"a", b"b", b"c"), "/v/v"))
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o7777 for path in (tmp_path / "a", tmp_path / "a/b")]
    assert modes == [0o700, 0o755]
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o7777 == 0o755


def test_what_was_made_goes_when_the_rest_cannot_be(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").mkdir()
    with same_descriptors(), pytest.raises(TapekitError, match="cannot be made"):
        make_below(top, (b"a", b"b", b"c", b"n" * 300), "/v/v")
    assert list((tmp_path / "a").iterdir()) == []


@ROOT_ONLY
def test_another_file_system_is_refused_for_reading(tmp_path: Path, top: int) -> None:
    (tmp_path / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "mounted"], check=True)
    try:
        with same_descriptors(), pytest.raises(TapekitError) as caught:
            open_below(top, (b"mounted",), "/v/v")
    finally:
        subprocess.run(["umount", tmp_path / "mounted"], check=True)
    assert str(caught.value) == "/v/v/mounted is on another file system than /v/v"


@ROOT_ONLY
def test_a_file_system_that_cannot_be_written_is_for_the_caller(tmp_path: Path) -> None:
    options = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path]
    subprocess.run(options, check=True)
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        with same_descriptors(), pytest.raises(OSError, match="Read-only"):
            make_below(top, (b"a",), "/v/v")
    finally:
        os.close(top)
        subprocess.run(["umount", tmp_path], check=True)
