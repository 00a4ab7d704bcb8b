"""Attributes of restored objects: exactly those of the image."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tapekit_smtape.apply_attributes import set_attributes, set_attributes_of_special
from tapekit_trees.objects import ACCESS_ACL, DEFAULT_ACL, sample_acl

if TYPE_CHECKING:
    from pathlib import Path

TIMES = (1_000_000_001, 2_000_000_002)
OWN = (os.geteuid(), os.getegid())


def test_a_file_gets_what_it_had_and_nothing_else(tmp_path: Path) -> None:
    os.setxattr(tmp_path, DEFAULT_ACL, sample_acl(1234, 2345))
    path = tmp_path / "file"
    path.write_bytes(b"content")
    os.setxattr(path, "user.old", b"old")
    os.setxattr(path, "user.kept", b"before")
    assert ACCESS_ACL in os.listxattr(path)
    fd = os.open(path, os.O_RDWR)
    set_attributes(fd, stat.S_IFREG | 0o640, OWN, TIMES, {b"user.kept": b"after", b"user.new": b""})
    os.close(fd)
    found = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    assert found == {"user.kept": b"after", "user.new": b""}
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert (status.st_atime_ns, status.st_mtime_ns) == TIMES


def test_an_acl_comes_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDWR)
    acl = sample_acl(1234, 2345)
    set_attributes(fd, stat.S_IFREG | 0o770, OWN, TIMES, {ACCESS_ACL.encode(): acl})
    os.close(fd)
    assert os.getxattr(path, ACCESS_ACL) == acl
    assert stat.S_IMODE(path.stat().st_mode) == 0o770


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_bits_that_a_change_of_owner_takes_away_stay(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDWR)
    set_attributes(fd, stat.S_IFREG | 0o6755, (1234, 2345), TIMES, {})
    os.close(fd)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o6755)


def test_a_link_itself_is_changed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"")
    before = target.stat()
    link = tmp_path / "link"
    link.symlink_to("target")
    fd = os.open(link, os.O_PATH | os.O_NOFOLLOW)
    set_attributes_of_special(fd, stat.S_IFLNK | 0o777, OWN, TIMES, {})
    os.close(fd)
    assert link.lstat().st_mtime_ns == TIMES[1]
    assert target.stat() == before


def test_a_pipe_gets_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    set_attributes_of_special(fd, stat.S_IFIFO | 0o604, OWN, TIMES, {})
    os.close(fd)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
