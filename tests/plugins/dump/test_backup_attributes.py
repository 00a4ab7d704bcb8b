"""Extended attributes of real objects."""

from __future__ import annotations

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
            sets = self.reader.of_descriptor(fd, locate, path.name.encode(), directory=path.is_dir())
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


def test_directory_has_one_set_and_says_what_does_not_fit(file: Path) -> None:
    directory = file.parent
    os.setxattr(directory, "user.large", b"x" * 3000)
    os.setxattr(directory, "user.second", b"y" * 3000)
    reading = Reading()
    assert len(reading.of(directory)) == 1
    (_, text), *rest = reading.services.messages
    assert rest == []
    assert "do not fit" in text
    assert "somewhere/" in text
    assert ("user.large" in text) != ("user.second" in text)
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
        "somewhere/file: extended attributes cannot be read (Bad file descriptor);"
        " the backup has the object without them",
        "somewhere/missing: extended attributes cannot be read (Not a directory);"
        " the backup has the object without them",
    ]
    assert reading.report.losses == 2
    assert reading.reader.are_supported


def test_file_system_without_attributes_is_asked_once() -> None:
    reading = Reading()
    read_end, write_end = os.pipe()
    try:
        assert reading.reader.of_descriptor(read_end, locate, b"pipe") == []
        if reading.reader.are_supported:
            pytest.skip("this kernel lets pipes have attributes")
        assert reading.reader.of_name(read_end, locate, b"any") == []
    finally:
        os.close(read_end)
        os.close(write_end)
    assert reading.services.messages == []
