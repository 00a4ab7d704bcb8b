"""Backups of single files by their own paths, through whole sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, Watch, back_up, recover
from tapekit_ndmp_v4.errors import NdmpReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

VOLUME = "/vs1/vol1"
FILE = f"{VOLUME}/docs/report"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A volume with a file among others."""
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory)) as served:
        (served.volume / "docs/inner").mkdir(parents=True)
        (served.volume / "docs/report").write_bytes(b"first words")
        (served.volume / "docs/other").write_bytes(b"of no concern")
        (served.volume / "docs/inner/report").write_bytes(b"of the same name")
        yield served


def plan(path: str = FILE, *variables: tuple[str, str]) -> BackupPlan:
    environment = (("FILESYSTEM", path), ("HIST", "Y"), *variables)
    return BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)


def to(path: str, backup: BackupResult, *names: m.Name) -> RecoverPlan:
    return RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=names or (m.Name(original_path="", destination_path=path),),
        record_size=10240,
    )


def files_in(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


@pytest.mark.requirement("R119")
@pytest.mark.requirement("R124")
async def test_a_file_alone_comes_back(stack: ServedStack) -> None:
    names: set[str] = set()

    def hear(post: object) -> None:
        if isinstance(post, m.FhAddDirPost):
            names.update(str(name.unix_name) for each in post.dirs for name in each.names)

    async with stack.client() as client:
        backup = await back_up(client, plan(), watch=Watch(on_post=hear))
        await recover(client, to(f"{VOLUME}/back", backup))
    assert names == {".", "..", "report"}
    assert dict(backup.environment)["FILESYSTEM"] == FILE
    assert files_in(stack.volume / "back") == {"report": b"first words"}


@pytest.mark.requirement("R119")
async def test_a_file_comes_back_to_its_place_if_nothing_says_where_to(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan())
        (stack.volume / "docs/report").write_bytes(b"spoilt")
        (stack.volume / "docs/other").write_bytes(b"newer than the backup")
        await recover(
            client,
            RecoverPlan(
                parts=backup.parts,
                environment=(*backup.environment, ("EXTRACT", "Y")),
                names=(m.Name(original_path="/report", destination_path=""),),
                record_size=10240,
            ),
        )
    assert (stack.volume / "docs/report").read_bytes() == b"first words"
    assert (stack.volume / "docs/other").read_bytes() == b"newer than the backup"


@pytest.mark.requirement("R119")
async def test_a_file_has_levels_of_its_own(stack: ServedStack) -> None:
    async with stack.client() as client:
        await back_up(client, plan(VOLUME))
        full = await back_up(client, plan())
        await recover(client, to(f"{VOLUME}/back", full))
        (stack.volume / "docs/report").write_bytes(b"later words")
        level1 = await back_up(client, plan(FILE, ("LEVEL", "1")))
        await recover(client, to(f"{VOLUME}/back", level1))
    assert files_in(stack.volume / "back") == {"report": b"later words"}


@pytest.mark.requirement("R119")
async def test_a_file_is_found_in_a_snapshot_copy(stack: ServedStack) -> None:
    storage: Any = stack.kernel.storage
    storage.keeper.create(storage.volume(VOLUME), "daily")
    (stack.volume / "docs/report").unlink()
    async with stack.client() as client:
        backup = await back_up(client, plan(f"{VOLUME}/.snapshot/daily/docs/report"))
        await recover(client, to(f"{VOLUME}/back", backup))
    assert files_in(stack.volume / "back") == {"report": b"first words"}


@pytest.mark.requirement("R119")
async def test_what_is_named_itself_is_not_excluded(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan(FILE, ("EXCLUDE", "rep*")))
        await recover(client, to(f"{VOLUME}/back", backup))
    assert files_in(stack.volume / "back") == {"report": b"first words"}


@pytest.mark.requirement("R119")
@pytest.mark.parametrize("path", [f"{FILE}/", f"{VOLUME}/link", f"{FILE}/below", f"{VOLUME}/gone"])
async def test_what_is_no_file_and_no_directory_is_refused_at_once(
    stack: ServedStack, path: str
) -> None:
    (stack.volume / "link").symlink_to("docs/report")
    async with stack.client() as client:
        with pytest.raises(NdmpReplyError):
            await back_up(client, plan(path))
