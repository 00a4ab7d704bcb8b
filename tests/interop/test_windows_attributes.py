"""What Windows keeps, before the programs of others: about 10 seconds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.plugins.dump.nt_acls import nt_acl
from tests.plugins.dump.test_posix_acl import NAMED

from captures import DOUBTFUL, NDMP_PORT, capturing, own_address, packets_in
from interop_peers import need, program
from ndmjob_index import names_in
from running_stack import run_checked, served
from tapekit_trees.long_attributes import attributes_of, long_attributes_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack

SHORT = {"user.DOSATTRIB": b"0x22\0", "system.posix_acl_access": NAMED, "trusted.kept": b"1"}
LONG = {"security.NTACL": nt_acl(1024), "user.DosStream.long:$DATA": bytes(range(256)) * 200}


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on tmpfs, whose attributes may be as long as Linux allows."""
    with long_attributes_folder() as folder:
        yield folder


def fill(volume: Path) -> None:
    (volume / "folder").mkdir()
    for name in ("document", "last"):
        (volume / "folder" / name).write_bytes(b"content" * 1000)
    for path in (volume / "folder", volume / "folder" / "document"):
        for name, value in {**LONG, **SHORT}.items():
            os.setxattr(path, name, value)


@pytest.mark.requirement("R250")
@pytest.mark.skipif(os.geteuid() != 0, reason="NT ACLs need root")
@pytest.mark.parametrize("how", [("-r",), ("-x", "-a", "-o")], ids=["-r", "-x"])
def test_debian_restore_passes_over_what_it_does_not_know(
    memory: Path, how: tuple[str, ...]
) -> None:
    """Attributes that its form has room for come back, and every file."""
    need("ndmjob", "restore")
    with served(memory / "stack") as stack:
        fill(stack.volume)
        stack.ndmjob(
            *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1"),
        )
        image = stack.export("VT0001", 0, memory / "image")
        target, temporary = memory / "target", memory / "temporary"
        target.mkdir()
        temporary.mkdir()
        said = run_checked(
            [program("restore"), *how, "-T", temporary, "-f", image],
            cwd=target,
        )
    assert "expected next file" not in said
    assert "not found on tape" not in said
    for path in (target / "folder", target / "folder" / "document"):
        assert attributes_of(path) == SHORT
    for name in ("document", "last"):
        assert (target / "folder" / name).read_bytes() == b"content" * 1000


@pytest.mark.requirement("R146")
@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_unicode_names_are_read_by_ndmjob_and_dissected(tmp_path: Path) -> None:
    need("ndmjob", "tshark")
    with served(tmp_path / "stack", own_address(91), NDMP_PORT) as stack:
        (stack.volume / "Größe 測試").write_bytes(b"content")
        (stack.volume / os.fsdecode(b"r\xe9sum\xe9")).write_bytes(b"content")
        file, index = tmp_path / "capture.pcapng", tmp_path / "index"
        with capturing(stack, file):
            back_up_with_unicode_names(stack, index)
    assert packets_in(file, DOUBTFUL) == []
    assert packets_in(file, "ndmp.file.fs_type == 1") != []
    assert names_in(index) - {b".", b".."} == {"Größe 測試".encode(), b"r\xe9sum\xe9"}


def back_up_with_unicode_names(stack: Stack, index: Path) -> None:
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-I", str(index)),
        *("-E", "FILESYSTEM=/vs1/vol1", "-E", "NDMP_UNICODE_FH=Y"),
    )
