"""Extended attributes of real objects."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest
from tests.plugins.dump.nt_acls import nt_acl

from tapekit.errors import TapekitError
from tapekit.testing import MemoryServices
from tapekit_dump.attributes import decode_set
from tapekit_dump.backup_attributes import SECURITY_LABEL, AttributeReader
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.nt_acl import NT_ACL, decode_nt_acl
from tapekit_dump.posix_acl import acl_entries, mode_without

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
def test_acls_can_be_left_out_without_more_rights_for_the_group(file: Path) -> None:
    assert Reading(with_acls=False).of(file) == {"user.a": b"1"}
    os.setxattr(file, "system.posix_acl_access", ACL)
    assert stat.S_IMODE(file.stat().st_mode) == 0o664
    found = Reading(with_acls=False).of(file)
    assert found.keys() == {"user.a", "system.posix_acl_access"}
    minimal = found["system.posix_acl_access"]
    assert len(acl_entries(minimal) or ()) == 3
    assert mode_without(0o664, minimal) == 0o644


@pytest.mark.requirement("R147")
def test_what_hands_acls_down_is_left_out_with_them(file: Path) -> None:
    os.setxattr(file.parent, "system.posix_acl_default", ACL)
    assert Reading(with_acls=False).of(file.parent) == {}


def test_what_the_format_has_no_name_for_is_told() -> None:
    reading = Reading()
    found = {"system.nfs4_acl": b"x", "user.a": b"y"}
    sets = reading.reader._encoded(found, b"some/place", directory=True)
    assert decoded(sets) == {"user.a": b"y"}
    (_, text), *rest = reading.services.messages
    assert rest == []
    assert text == (
        "some/place: these extended attributes do not fit into the backup: system.nfs4_acl"
    )
    assert reading.report.losses == 1


@pytest.mark.requirement("R232")
def test_an_acl_that_is_too_long_becomes_a_default_acl() -> None:
    reading = Reading()
    sets = reading.reader._encoded({NT_ACL: nt_acl(1025)}, b"a/file", directory=False)
    assert decode_nt_acl(decoded(sets)[NT_ACL]).entries == 2
    assert [text for _, text in reading.services.messages] == [
        (
            "a/file: security.NTACL has 1025 entries, and an ACL has at most 1024;"
            " a default ACL takes its place"
        )
    ]
    assert reading.report.losses == 1
    sets = reading.reader._encoded({NT_ACL: nt_acl(1024)}, b"a/file", directory=False)
    assert decoded(sets) == {NT_ACL: nt_acl(1024)}
    assert reading.report.losses == 1


def test_one_attribute_that_cannot_be_read_is_named_and_the_others_kept(file: Path) -> None:
    reading = Reading()
    fd = os.open(file, os.O_RDONLY)
    try:
        names = ["user.a", "user.gone", "unheard.of"]
        found = reading.reader._values(fd, names, locate, b"file", follow=True)
    finally:
        os.close(fd)
    assert found == {"user.a": b"1"}
    assert [text for _, text in reading.services.messages] == [
        (
            "somewhere/file: extended attribute unheard.of cannot be read"
            " (Operation not supported); the backup has the object without it"
        )
    ]
    assert reading.report.losses == 1


@pytest.mark.requirement("R341")
@pytest.mark.skipif(os.geteuid() != 0, reason="security labels need root")
@pytest.mark.parametrize("kind", ["file", "directory", "special"])
def test_a_security_label_may_end_the_backup(file: Path, kind: str) -> None:
    if kind == "directory":
        file.unlink()
        file.mkdir()
    elif kind == "special":
        file.unlink()
        os.mkfifo(file)
    os.setxattr(file, SECURITY_LABEL, b"system_u:object_r:user_home_t:s0\0")
    report = BackupReport(MemoryServices(), verbose=False, debug=False)
    for with_labels in (True, False):
        reader = AttributeReader(report, with_acls=True, with_labels=with_labels)
        fd = os.open(file.parent if kind == "special" else file, os.O_RDONLY)
        refused = (
            contextlib.nullcontext()
            if with_labels
            else pytest.raises(
                TapekitError,
                match="Error: Aborting: dump encountered NFS security labels in the file system",
            )
        )
        try:
            with refused:
                if kind == "special":
                    sets = reader.of_name(fd, locate, b"file")
                else:
                    sets = reader.of_descriptor(fd, locate, b"file", directory=kind == "directory")
                assert SECURITY_LABEL in decoded(sets)
        finally:
            os.close(fd)


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
