"""ACLs in destinations that take them, take them in part, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.dump.nt_acls import OWNER, nt_acl
from tests.plugins.dump.test_posix_acl import NAMED

from tapekit.hookspecs.data_engine import LogLevel
from tapekit_dump.attributes import encode_sets
from tapekit_dump.nt_acl import NT_ACL, decode_nt_acl
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, minimal_acl
from tapekit_dump.recover_acls import set_acl
from tapekit_trees.long_attributes import attributes_of, long_attributes_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tapekit.errors import TapekitError

    Restore = Callable[..., Any]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="security attributes need root")

LARGE = {
    NT_ACL: nt_acl(1024),
    "user.DosStream.Zone.Identifier:$DATA": b"[ZoneTransfer]\0",
    "user.DosStream.long:$DATA": bytes(range(256)) * 250,
    "trusted.long": b"t" * 9000,
}
"""More than a set of the classic form carries."""


def one_file(dump: Any, attributes: dict[str, bytes], size: int = 5, mode: int = 0o660) -> bytes:
    """A stream with a directory and two files; the first has attributes."""
    stream = dump().begin().directory(2, [(b"f", 3), (b"after", 4)])
    stream.file(3, b"x" * size, mode)
    for blob in encode_sets(attributes, directory=False)[0]:
        stream.attributes(3, blob, attribute_kind=2 if blob[:4] == b"tkxa" else 3)
    return bytes(stream.file(4, b"plain").end())


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder whose files may have long attributes."""
    with long_attributes_folder() as folder:
        yield folder


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Lets the destination refuse an attribute, as other file systems do."""

    def refuse(refused: str, number: int) -> None:
        real = os.setxattr

        def failing(target: int | str, name: str, value: bytes, *rest: Any) -> None:
            # A value as short as a default ACL fits anywhere.
            if name == refused and (len(value) > 200 or name != NT_ACL):
                raise OSError(number, os.strerror(number))
            real(target, name, value, *rest)

        monkeypatch.setattr(os, "setxattr", failing)

    return refuse


@needs_root
@pytest.mark.requirement("R250")
@pytest.mark.parametrize("size", [5, 300_000])
def test_long_acls_and_streams_come_back(
    dump: Any, restore_to: Restore, in_memory: Path, size: int
) -> None:
    outcome = restore_to(in_memory, one_file(dump, LARGE, size))
    assert (outcome.error, outcome.told(LogLevel.WARNING)) == (None, [])
    assert attributes_of(in_memory / "f") == LARGE
    assert attributes_of(in_memory / "after") == {}


@needs_root
def test_directories_have_long_attributes_too(
    dump: Any, restore_to: Restore, in_memory: Path
) -> None:
    stream = dump().begin().directory(2, [(b"d", 3, 4)])
    stream.directory(3)
    for blob in encode_sets(LARGE, directory=True)[0]:
        stream.attributes(3, blob, attribute_kind=2 if blob[:4] == b"tkxa" else 3)
    outcome = restore_to(in_memory, stream.end())
    assert (outcome.error, outcome.told(LogLevel.WARNING)) == (None, [])
    assert attributes_of(in_memory / "d") == LARGE


@needs_root
@pytest.mark.requirement("R252")
def test_an_nt_acl_that_the_destination_has_no_room_for_becomes_a_default_acl(
    dump: Any, restore: Restore, folder: Path, refusing: Callable[[str, int], None]
) -> None:
    refusing(NT_ACL, errno.ENOSPC)
    attributes = {NT_ACL: nt_acl(500), "user.kept": b"1"}
    outcome = restore(one_file(dump, attributes))
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == [
        (
            f"/f: {NT_ACL} with 500 entries could not be set (No space left on device);"
            " a default ACL takes its place"
        )
    ]
    found = attributes_of(folder / "f")
    default = decode_nt_acl(found[NT_ACL])
    assert (default.entries, default.descriptor.owner) == (2, OWNER)
    assert found["user.kept"] == b"1"


@needs_root
@pytest.mark.requirement("R252")
def test_an_acl_beyond_the_limit_becomes_a_default_acl(
    dump: Any, restore: Restore, folder: Path
) -> None:
    outcome = restore(one_file(dump, {NT_ACL: nt_acl(1025)}))
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == [
        f"/f: {NT_ACL} has 1025 entries, and an ACL has at most 1024; a default ACL takes its place"
    ]
    assert decode_nt_acl(attributes_of(folder / "f")[NT_ACL]).entries == 2


@pytest.mark.requirement("R252")
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "with 5 entries could not be set (No space left on device); a default ACL"),
        (errno.EOPNOTSUPP, "could not be set: Operation not supported"),
    ],
)
def test_without_its_posix_acl_a_file_gives_nobody_more_rights(
    dump: Any,
    restore: Restore,
    folder: Path,
    refusing: Callable[[str, int], None],
    number: int,
    said: str,
) -> None:
    refusing(ACCESS_ACL, number)
    outcome = restore(one_file(dump, {ACCESS_ACL: NAMED, "user.kept": b"1"}))
    assert outcome.error is None
    (warning,) = outcome.told(LogLevel.WARNING)
    assert said in warning
    # The mode in the stream is 0660, of which the group had but the mask.
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o640
    assert attributes_of(folder / "f") == {"user.kept": b"1"}


@pytest.mark.requirement("R137")
@pytest.mark.parametrize("size", [5, 300_000])
def test_a_restore_without_acls_gives_nobody_more_rights(
    dump: Any, restore: Restore, folder: Path, size: int
) -> None:
    data = one_file(dump, {ACCESS_ACL: NAMED, DEFAULT_ACL: NAMED, "user.kept": b"1"}, size)
    environment = (("FILESYSTEM", "/vs1/vol1"), ("EXTRACT", "E"), ("EXTRACT_ACL", "N"))
    outcome = restore(data, (), environment)
    assert (outcome.error, outcome.told(LogLevel.WARNING)) == (None, [])
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o640
    assert attributes_of(folder / "f") == {"user.kept": b"1"}


def test_a_default_acl_that_is_too_long_goes(dump: Any, restore: Restore, folder: Path) -> None:
    long = NAMED[:12] + b"".join(struct.pack("<HHI", 2, 7, who) for who in range(1100)) + NAMED[20:]
    stream = dump().begin().directory(2, [(b"d", 3, 4)])
    stream.directory(3)
    for blob in encode_sets({DEFAULT_ACL: long}, directory=True)[0]:
        stream.attributes(3, blob, attribute_kind=2)
    outcome = restore(stream.end())
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == [
        (
            f"/d: {DEFAULT_ACL} has 1104 entries, and an ACL has at most 1024;"
            " a default ACL takes its place"
        )
    ]
    assert attributes_of(folder / "d") == {}


def test_attributes_that_may_not_be_set_are_named_and_the_restore_goes_on(
    dump: Any, restore: Restore, folder: Path, refusing: Callable[[str, int], None]
) -> None:
    refusing("trusted.mine", errno.EPERM)
    outcome = restore(one_file(dump, {"trusted.mine": b"1", "user.kept": b"2"}))
    assert outcome.error is None
    assert outcome.told(LogLevel.WARNING) == [
        "/f: trusted.mine could not be set: Operation not permitted"
    ]
    assert attributes_of(folder / "f") == {"user.kept": b"2"}
    assert (folder / "after").read_bytes() == b"plain"


@pytest.mark.requirement("R250")
@pytest.mark.parametrize("size", [5, 300_000])
def test_an_nt_stream_that_cannot_be_restored_is_a_loss(
    dump: Any,
    restore: Restore,
    folder: Path,
    refusing: Callable[[str, int], None],
    size: int,
) -> None:
    refusing("user.DosStream.notes:$DATA", errno.ENOSPC)
    outcome = restore(one_file(dump, {"user.DosStream.notes:$DATA": b"text\0"}, size))
    assert outcome.error.id == "dump.restore-incomplete"
    assert outcome.told() == [
        "/f: the NT stream notes of 4 bytes could not be restored: No space left on device"
    ]
    assert (folder / "f").stat().st_size == size
    assert (folder / "after").read_bytes() == b"plain"


def test_damage_of_a_large_set_costs_that_attribute_alone(
    dump: Any, restore: Restore, folder: Path
) -> None:
    data = bytearray(one_file(dump, {"user.long": b"y" * 5000, "user.kept": b"2"}))
    data[data.index(b"yyyy") + 10] = 0
    outcome = restore(bytes(data))
    assert outcome.error is None
    (warning,) = outcome.told(LogLevel.WARNING)
    assert warning == (
        "/f: some extended attributes are lost: the checksum of a set with 5000 bytes is wrong"
    )
    assert attributes_of(folder / "f") == {"user.kept": b"2"}


def test_a_directory_that_is_there_loses_the_acl_that_is_not_restored(
    dump: Any, restore: Restore, folder: Path
) -> None:
    (folder / "d").mkdir()
    os.setxattr(folder / "d", ACCESS_ACL, NAMED)
    minimal = minimal_acl(NAMED)
    assert minimal is not None
    stream = dump().begin().directory(2, [(b"d", 3, 4)])
    stream.directory(3)
    stream.attributes(3, encode_sets({ACCESS_ACL: minimal}, directory=True)[0][0])
    outcome = restore(stream.end())
    assert (outcome.error, outcome.told(LogLevel.WARNING)) == (None, [])
    assert attributes_of(folder / "d") == {}


def test_an_acl_that_names_no_group_leaves_none_any_rights(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    entries = b"".join(struct.pack("<HHI", 2, 7, who) for who in range(1025))
    told: list[TapekitError] = []
    mode = set_acl(
        str(tmp_path / "file"), ACCESS_ACL, NAMED[:4] + entries, 0o664, lambda: "/f", told.append
    )
    assert mode == 0o604
    assert [error.id for error in told] == ["dump.acl-too-long"]
