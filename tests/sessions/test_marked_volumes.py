"""Volumes with qtrees, LUNs, WORM files and junctions, through whole sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from session_stack import new_site, serving
from tapekit.marks import LunMark, Marks, QtreeMark, SecurityStyle, WormMark
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, Watch, back_up, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.marks import Mark
    from tapekit_ndmp_v4.client import BackupResult

VOLUME = "/vs1/vol1"
OTHER = "/vs1/vol2"
LATER = 2_000_000_000
MARKS = Marks()
QTREE = QtreeMark(id=7, security_style=SecurityStyle.MIXED, oplocks=False)
LUN = LunMark(serial="abc", os_type="linux", is_mapped=True)
WORM = WormMark(retained_until_s=LATER)


def put(place: Path, mark: Mark) -> None:
    os.setxattr(place, *MARKS.attribute(mark))


def mark_on(place: Path, kind: type[Mark]) -> Any:
    fd = os.open(place, os.O_RDONLY)
    try:
        return MARKS.read(fd, kind)
    finally:
        os.close(fd)


def other(stack: ServedStack) -> Path:
    """The directory of the second volume."""
    return stack.directory / "other"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A volume with a qtree, a LUN in it and a WORM file, and an empty volume
    that is mounted in the first.
    """
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        (directory / "other").mkdir(parents=True)
        rows = f'path = "{OTHER}"\ndirectory = "other"\njunction_path = "{VOLUME}/plain/mounted"\n'
        return f"{text}\n[[volumes.volume]]\n{rows}"

    async with serving(directory, new_site(directory, edit)) as served:
        volume = served.volume
        (volume / "home/user").mkdir(parents=True)
        (volume / "plain/mounted").mkdir(parents=True)
        (volume / "home/lun").write_bytes(b"blocks" * 50_000)
        (volume / "home/user/file").write_bytes(b"a file of a qtree")
        (volume / "plain/record").write_bytes(b"kept")
        put(volume / "home", QTREE)
        put(volume / "home/lun", LUN)
        put(volume / "plain/record", WORM)
        os.utime(volume / "plain/record", (LATER, LATER - 5))
        yield served


def plan(*variables: tuple[str, str]) -> BackupPlan:
    environment = (("FILESYSTEM", VOLUME), ("HIST", "Y"), *variables)
    return BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=10240)


def to(path: str, backup: BackupResult, *variables: tuple[str, str]) -> RecoverPlan:
    return RecoverPlan(
        parts=backup.parts,
        environment=(*backup.environment, *variables),
        names=(m.Name(original_path="/", destination_path=path),),
        record_size=10240,
    )


def listening() -> tuple[list[str], Watch]:
    told: list[str] = []

    def hear(post: object) -> None:
        if isinstance(post, m.LogMessagePost):
            told.append(post.entry.strip())

    return told, Watch(on_post=hear)


@pytest.mark.requirement("R213")
@pytest.mark.requirement("R232")
@pytest.mark.requirement("R234")
@pytest.mark.requirement("R250")
async def test_a_volume_comes_back_with_all_its_marks(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan())
        await recover(client, to(OTHER, backup))
    back = other(stack)
    assert mark_on(back / "home", QtreeMark) == QTREE
    assert mark_on(back / "home/lun", LunMark) == LUN
    assert mark_on(back / "plain/record", WormMark) == WORM
    assert (back / "plain/record").stat().st_atime == LATER
    assert (back / "plain/mounted").readlink() == type(back)(OTHER)
    (back / "plain/mounted").unlink()
    (back / "plain/mounted").mkdir()
    found = [str(each) for each in compare_trees(stack.volume, back) if "mounted" not in each.path]
    assert [each for each in found if not each.startswith(("plain:", ".:"))] == []


@pytest.mark.requirement("R253")
@pytest.mark.requirement("R254")
async def test_in_a_lower_directory_there_are_no_qtrees_and_luns(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan())
        await recover(client, to(f"{OTHER}/subdir/lowerdir", backup))
    below = other(stack) / "subdir/lowerdir"
    assert mark_on(below / "home", QtreeMark) is None
    assert mark_on(below / "home/lun", LunMark) is None
    assert (below / "home/lun").read_bytes() == b"blocks" * 50_000
    assert mark_on(below / "plain/record", WormMark) == WORM


@pytest.mark.requirement("R148")
async def test_qtrees_can_be_left_out(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan(("NON_QUOTA_TREE", "Y")))
        await recover(client, to(OTHER, backup))
    assert list((other(stack) / "home").iterdir()) == []
    assert (other(stack) / "plain/record").read_bytes() == b"kept"


@pytest.mark.requirement("R144")
async def test_qtrees_are_listed_to_the_client(stack: ServedStack) -> None:
    told, watch = listening()
    async with stack.client() as client:
        backup = await back_up(client, plan())
        await recover(client, to(OTHER, backup, ("LIST_QTREES", "Y")), watch=watch)
    assert "7  /home  security style mixed, oplocks disabled, status normal" in told
    assert list(other(stack).iterdir()) == []


@pytest.mark.requirement("R339")
async def test_a_read_only_qtree_is_told_in_the_guides_words(stack: ServedStack) -> None:
    (other(stack) / "home").mkdir()
    put(other(stack) / "home", QtreeMark(id=1, is_read_only=True))
    told, watch = listening()
    async with stack.client() as client:
        backup = await back_up(client, plan())
        with pytest.raises(NdmpReplyError):
            await recover(client, to(f"{OTHER}/home/in", backup), watch=watch)
    assert any("Destination qtree is read-only" in text for text in told)
    assert list((other(stack) / "home").iterdir()) == []


@pytest.mark.requirement("R235")
async def test_a_restricted_file_is_in_the_backup_after_its_release(stack: ServedStack) -> None:
    storage: Any = stack.kernel.storage
    reason = "clients are kept from it"
    storage.withheld.withhold(VOLUME, b"home/lun", reason)
    told, watch = listening()
    async with stack.client() as client:
        await back_up(client, plan(), watch=watch)
        storage.withheld.release(VOLUME, b"home/lun", reason)
        increment = await back_up(client, plan(("LEVEL", "1")))
        await recover(client, to(OTHER, increment, ("EXTRACT", "Y")))
    assert any("home/lun is left out of the backup" in text for text in told)
    assert mark_on(other(stack) / "home/lun", LunMark) == LUN
