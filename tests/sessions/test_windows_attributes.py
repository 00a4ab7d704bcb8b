"""ACLs, DOS attributes and NT streams through whole sessions, and Unicode names in file history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.dump.nt_acls import nt_acl
from tests.plugins.dump.test_posix_acl import NAMED

from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit_dump.dos_attributes import DosAttributes, encode_dos
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    Positions,
    RecoverPlan,
    TapeAt,
    Watch,
    back_up,
    recover,
)
from tapekit_trees.long_attributes import attributes_of, long_attributes_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

VOLUME = "/vs1/vol1"
ACLS = {"security.NTACL": nt_acl(1024), "system.posix_acl_access": NAMED}
OTHERS = {
    "user.DOSATTRIB": encode_dos(DosAttributes(0x23, 1_600_000_000 * 10**9)),
    "user.DosStream.Zone.Identifier:$DATA": b"[ZoneTransfer]\0",
    "user.DosStream.long:$DATA": bytes(range(256)) * 200,
}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NT ACLs need root")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on tmpfs, whose attributes may be as long as Linux allows."""
    with long_attributes_folder() as folder:
        yield folder


@pytest.fixture
async def in_memory(memory: Path) -> AsyncIterator[ServedStack]:
    """A site of which the volume keeps long attributes."""
    directory = memory / "site"
    async with serving(directory, new_site(directory)) as served:
        yield served


def fill(volume: Path) -> None:
    """A directory and a file with everything that Windows keeps, and one without."""
    (volume / "folder").mkdir()
    (volume / "folder" / "document").write_bytes(b"content" * 1000)
    (volume / "folder" / "plain").write_bytes(b"plain")
    for path in (volume / "folder", volume / "folder" / "document"):
        for name, value in {**ACLS, **OTHERS}.items():
            os.setxattr(path, name, value)


def plan(*variables: tuple[str, str]) -> BackupPlan:
    environment = (("FILESYSTEM", VOLUME), ("HIST", "Y"), *variables)
    return BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)


async def restored(
    stack: ServedStack, backup: BackupResult, *names: m.Name, **variables: str
) -> list[str]:
    """Restore; gives the warnings."""
    posts: list[Any] = []
    async with stack.client() as client:
        await recover(
            client,
            RecoverPlan(
                parts=backup.parts,
                environment=tuple({**dict(backup.environment), **variables}.items()),
                names=names,
                record_size=10240,
            ),
            watch=Watch(on_post=posts.append),
        )
    texts = [post.entry for post in posts if isinstance(post, m.LogMessagePost)]
    return [text for text in texts if "set" in text or "lost" in text]


@needs_root
@pytest.mark.requirement("R137")
@pytest.mark.requirement("R147")
@pytest.mark.requirement("R232")
@pytest.mark.requirement("R250")
async def test_what_windows_keeps_comes_back(in_memory: ServedStack) -> None:
    fill(in_memory.volume)
    everything = {**ACLS, **OTHERS}
    cases: tuple[tuple[dict[str, str], dict[str, str], dict[str, bytes]], ...] = (
        ({}, {}, everything),
        ({}, {"EXTRACT_ACL": "N"}, OTHERS),
        ({"NO_ACLS": "Y"}, {}, OTHERS),
    )
    for number, (asked, variables, expected) in enumerate(cases):
        async with in_memory.client() as client:
            backup = await back_up(client, plan(*asked.items(), ("EXCLUDE", "back*")))
        name = m.Name(original_path="", destination_path=f"{VOLUME}/back{number}")
        assert await restored(in_memory, backup, name, **variables) == []
        folder = in_memory.volume / f"back{number}" / "folder"
        assert attributes_of(folder) == expected
        assert attributes_of(folder / "document") == expected
        assert attributes_of(folder / "plain") == {}


@needs_root
@pytest.mark.requirement("R134")
@pytest.mark.requirement("R137")
async def test_streams_and_acls_come_back_directly(in_memory: ServedStack) -> None:
    fill(in_memory.volume)
    positions = Positions()
    async with in_memory.client() as client:
        backup = await back_up(client, plan(), watch=Watch(on_post=positions.add))
    everything = {**ACLS, **OTHERS}
    direct = {"DIRECT": "Y", "ENHANCED_DAR_ENABLED": "Y"}
    for number, (variables, expected) in enumerate(
        (
            ({"DIRECT": "Y"}, OTHERS),
            (direct, OTHERS),
            ({**direct, "EXTRACT_ACL": "Y"}, everything),
        )
    ):
        name = positions.name("folder/document", f"{VOLUME}/one{number}/document")
        assert await restored(in_memory, backup, name, **variables) == []
        assert attributes_of(in_memory.volume / f"one{number}" / "document") == expected
    name = positions.name("folder", f"{VOLUME}/whole/folder")
    assert await restored(in_memory, backup, name, **direct, EXTRACT_ACL="Y") == []
    assert attributes_of(in_memory.volume / "whole" / "folder") == everything
    assert attributes_of(in_memory.volume / "whole" / "folder" / "document") == everything


@pytest.mark.requirement("R146")
@pytest.mark.parametrize("form", ["Y", "F"])
async def test_unicode_names_stand_beside_those_of_unix(stack: ServedStack, form: str) -> None:
    names = (b"plain", "Größe 測試".encode(), b"r\xe9sum\xe9")
    for name in names:
        (stack.volume / os.fsdecode(name)).write_bytes(b"content")
    posts: list[Any] = []
    asked = (("FILESYSTEM", VOLUME), ("HIST", form), ("NDMP_UNICODE_FH", "Y"))
    backup_plan = BackupPlan(tape=TapeAt("nrst0a"), environment=asked, record_size=10240)
    async with stack.client() as client:
        await back_up(client, backup_plan, watch=Watch(on_post=posts.append))
    entries = [each for post in posts if isinstance(post, m.FhAddDirPost) for each in post.dirs]
    entries += [each for post in posts if isinstance(post, m.FhAddFilePost) for each in post.files]
    found = {os.fsencode(each.names[0].unix_name).lstrip(b"/"): each.names[1:] for each in entries}
    for name in names[:2]:
        (view,) = found[name]
        assert (view.nt_path.lstrip("/"), view.dos_path) == (name.decode(), "")
    assert found[names[2]] == ()


@pytest.mark.requirement("R146")
async def test_unicode_names_are_refused_without_file_history(stack: ServedStack) -> None:
    said: list[Any] = []
    asked = (("FILESYSTEM", VOLUME), ("NDMP_UNICODE_FH", "Y"))
    backup_plan = BackupPlan(tape=TapeAt("nrst0a"), environment=asked, record_size=10240)
    async with stack.client() as client:
        with pytest.raises(TapekitError, match="ILLEGAL_ARGS"):
            await back_up(client, backup_plan, watch=Watch(on_post=said.append))
    texts = [post.entry for post in said if isinstance(post, m.LogMessagePost)]
    assert any("NDMP_UNICODE_FH=Y needs HIST=Y" in text for text in texts)


@needs_root
@pytest.mark.requirement("R341")
async def test_security_labels_end_a_backup_if_they_are_refused(edited_stack: Any) -> None:
    def edit(text: str) -> str:
        return text + '\n[dump]\nsecurity_labels = "refuse"\n'

    said: list[Any] = []
    async with edited_stack(edit) as stack:
        (stack.volume / "labelled").write_bytes(b"content")
        os.setxattr(stack.volume / "labelled", "security.selinux", b"user_u:object_r:x_t:s0\0")
        async with stack.client() as client:
            with pytest.raises(TapekitError, match="INTERNAL"):
                await back_up(client, plan(), watch=Watch(on_post=said.append))
    texts = [post.entry for post in said if isinstance(post, m.LogMessagePost)]
    assert any(
        "Error: Aborting: dump encountered NFS security labels in the file system" in text
        for text in texts
    )
