from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tapekit_snap_copy.attributes import AttributeNotKept, AttributeSetter
from tapekit_trees.objects import ACCESS_ACL, sample_acl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def fail(what: str) -> None:
    raise AssertionError(f"lost {what}")


@contextlib.contextmanager
def both_open(source: Path, target: Path) -> Iterator[tuple[int, int]]:
    with source.open("rb") as one, target.open("r+b") as two:
        yield one.fileno(), two.fileno()


def copy_file_attributes(source: Path, target: Path) -> None:
    with both_open(source, target) as (one, two):
        AttributeSetter(fail).copy_open(one, two, os.fstat(one))


@ROOT_ONLY
def test_setuid_survives_the_change_of_owner(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    target.write_bytes(b"x")
    os.chown(source, 70_000, 100)
    source.chmod(0o6755)
    os.utime(source, ns=(1_000_000_001, 2_000_000_002))
    copy_file_attributes(source, target)
    status = target.stat()
    assert (status.st_uid, status.st_gid) == (70_000, 100)
    assert stat.S_IMODE(status.st_mode) == 0o6755
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_001, 2_000_000_002)


def test_mode_agrees_with_the_access_control_list(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    target.write_bytes(b"x")
    os.setxattr(source, ACCESS_ACL, sample_acl(1000, 2000))
    source.chmod(0o641)
    copy_file_attributes(source, target)
    assert os.getxattr(target, ACCESS_ACL) == os.getxattr(source, ACCESS_ACL)
    assert target.stat().st_mode == source.stat().st_mode


@ROOT_ONLY
def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"x")
    before = (tmp_path / "file").stat()
    os.chown(tmp_path / "a" / "link", 5, 6, follow_symlinks=False)
    os.setxattr(tmp_path / "a" / "link", "trusted.a", b"1", follow_symlinks=False)
    source, target = (os.open(tmp_path / name, os.O_RDONLY) for name in "ab")
    status = (tmp_path / "a" / "link").lstat()
    AttributeSetter(fail).copy_named(source, target, "link", status)
    os.close(source)
    os.close(target)
    copy = (tmp_path / "b" / "link").lstat()
    assert (copy.st_uid, copy.st_gid, copy.st_mtime_ns) == (5, 6, status.st_mtime_ns)
    assert os.listxattr(tmp_path / "b" / "link", follow_symlinks=False) == ["trusted.a"]
    assert (tmp_path / "file").stat() == before


@ROOT_ONLY
def test_a_file_system_without_attributes_is_an_error(tmp_path: Path) -> None:
    source, place = tmp_path / "a", tmp_path / "place"
    source.write_bytes(b"x")
    os.setxattr(source, "user.precious", b"1")
    place.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "ramfs", place], check=True)
    try:
        (place / "b").write_bytes(b"x")
        with pytest.raises(AttributeNotKept) as caught:
            copy_file_attributes(source, place / "b")
        copy_file_attributes(place / "b", source)
    finally:
        subprocess.run(["umount", place], check=True)
    assert caught.value.attribute == "user.precious"


LOSING = """
import os, sys
from tapekit_snap_copy.attributes import AttributeSetter
source, target = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
AttributeSetter(print).copy_open(source, target, os.fstat(source))
"""


def test_what_needs_privileges_is_lost_and_told(
    tmp_path: Path, without_privileges: Callable[..., str]
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    target.write_bytes(b"x")
    os.setxattr(source, "security.tapekit", b"1")
    os.setxattr(source, "user.kept", b"1")
    os.chown(source, 5, 6)
    source.chmod(0o604)
    assert without_privileges(LOSING, source, target).split("\n") == [
        "owner",
        "attribute security.tapekit",
        "",
    ]
    assert os.listxattr(target) == ["user.kept"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
