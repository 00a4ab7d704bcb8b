"""Extended attributes of real objects."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

import pytest

from tapekit.testing import MemoryServices
from tapekit_dump.attributes import decode_set
from tapekit_dump.backup_attributes import AttributeReader
from tapekit_dump.backup_report import BackupReport

if TYPE_CHECKING:
    from pathlib import Path

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in (
        (1, 6, 2**32 - 1),
        (2, 4, 1234),
        (4, 4, 2**32 - 1),
        (16, 6, 2**32 - 1),
        (32, 4, 2**32 - 1),
    )
)


def locate(name: bytes) -> bytes:
    return b"somewhere/" + name


class Reading:
    """A reader with what it reported."""

    def __init__(self, *, with_acls: bool = True) -> None:
        self.services = MemoryServices()
        self.report = BackupReport(self.services, verbose=False, debug=False)
        self.reader = AttributeReader(self.report, with_acls=with_acls)

    def of(self, path: Path) -> dict[str, bytes]:
        fd = os.open(path, os.O_RDONLY)
        try:
            sets = self.reader.of_descriptor(
                fd, locate, path.name.encode(), directory=path.is_dir()
            )
        finally:
            os.close(fd)
        return decoded(sets)


def decoded(sets: list[bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for blob in sets:
        attributes, problems = decode_set(blob)
        assert problems == []
        found |= attributes
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    try:
        os.setxattr(path, "user.a", b"1")
    except OSError:
        pytest.skip("the file system of the temporary folder has no extended attributes")
    return path


def test_object_without_attributes_has_no_set(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert Reading().of(tmp_path / "plain") == {}


@pytest.mark.requirement("R232")
def test_attributes_and_acls_are_read(file: Path) -> None:
    os.setxattr(file, "user.binary", bytes(range(256)))
    os.setxattr(file, "system.posix_acl_access", ACL)
    found = Reading().of(file)
    assert found["user.a"] == b"1"
    assert found["user.binary"] == bytes(range(256))
    assert found["system.posix_acl_access"] == ACL


@pytest.mark.requirement("R147")
def test_acls_can_be_left_out(file: Path) -> None:
    os.setxattr(file, "system.posix_acl_access", ACL)
    assert Reading(with_acls=False).of(file) == {"user.a": b"1"}
    os.removexattr(file, "user.a")
    assert Reading(with_acls=False).of(file) == {}


def test_directory_has_one_set_and_says_what_does_not_fit() -> None:
    reading = Reading()
    # More than ext4 would take, as XFS and btrfs do.
    found = {"user.large": b"x" * 3000, "user.second": b"y" * 3000}
    assert len(reading.reader._encoded(found, b"some/place", directory=True)) == 1
    (_, text), *rest = reading.services.messages
    assert rest == []
    assert text.startswith(
        "some/place: these extended attributes do not fit into the backup: user."
    )
    assert reading.report.losses == 1
    assert len(reading.reader._encoded(found, b"some/file", directory=False)) == 2
    assert reading.report.losses == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="trusted attributes need root")
def test_symbolic_link_is_asked_itself(file: Path) -> None:
    link = file.parent / "link"
    link.symlink_to("file")
    os.setxattr(link, "trusted.of_link", b"v", follow_symlinks=False)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        sets = Reading().reader.of_name(directory, locate, b"link")
    finally:
        os.close(directory)
    assert decoded(sets) == {"trusted.of_link": b"v"}


def test_what_cannot_be_asked_is_reported_and_goes_without(file: Path) -> None:
    reading = Reading()
    # A descriptor that only marks a place may not be asked.
    fd = os.open(file, os.O_PATH)
    assert reading.reader.of_descriptor(fd, locate, b"file") == []
    assert reading.reader.of_name(fd, locate, b"missing") == []
    os.close(fd)
    texts = [text for _, text in reading.services.messages]
    assert texts == [
        (
            "somewhere/file: extended attributes cannot be read (Bad file descriptor);"
            " the backup has the object without them"
        ),
        (
            "somewhere/missing: extended attributes cannot be read (Not a directory);"
            " the backup has the object without them"
        ),
    ]
    assert reading.report.losses == 2
    assert reading.reader.are_supported


def test_file_system_without_attributes_is_asked_once(file: Path) -> None:
    reading = Reading()
    # What FUSE says whose server has no such operation.
    reading.reader._failed(OSError(errno.ENOTSUP, "Operation not supported"), b"any")
    assert not reading.reader.are_supported
    assert reading.of(file) == {}
    assert reading.reader.of_name(0, locate, b"any") == []
    assert reading.services.messages == []
