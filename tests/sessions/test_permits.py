"""Users of one storage virtual machine, and every way to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from administrator import typed
from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CopyPlan, copy_across
from tapekit_ndmp_v4.errors import OperationFailed
from tapekit_ndmp_v4.numbers import AddrType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack

OWN = "/vs1/vol1"
OTHER = "/vs2/vol1"
SECRET = "secret of vs2"


def other(stack: ServedStack) -> Path:
    """The directory of the volume that the user may not use."""
    return stack.directory / "other"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A stack with volumes of two SVMs, and a user of the first."""

    directory = tmp_path / "site"

    def edit(text: str) -> str:
        (directory / "other" / "payroll").mkdir(parents=True)
        (directory / "other" / "payroll" / "salaries").write_text(SECRET)
        text = text.replace('snapshots = "copy"', 'snapshots = "none"')
        text = text.replace('{ name = "ndmp",', '{ name = "ndmp", svms = ["vs1"],')
        volume = f'path = "{OTHER}"\ndirectory = "other"\nsnapshots = "none"\n'
        return text + f"\n[[volumes.volume]]\n{volume}"

    async with serving(directory, new_site(directory, edit)) as stack:
        (stack.volume / "mine").write_text("planted")
        yield stack


async def copied(stack: ServedStack, plan: CopyPlan) -> str:
    """Copy within the stack; gives the messages of both sessions."""
    told: list[str] = []

    def hear(post: m.LogMessagePost) -> None:
        told.append(post.entry)

    async with stack.client() as source, stack.client() as destination:
        for client in (source, destination):
            client.on_post(m.LogMessagePost, hear)
        try:
            await copy_across(source, destination, plan)
        except OperationFailed as failed:
            told.append(str(failed))
    return "\n".join(told)


def plan_of(
    filesystem: str, to: str, *variables: tuple[str, str], name: str = "", prefix: str = ""
) -> CopyPlan:
    recover = [("FILESYSTEM", OWN), ("TYPE", "dump"), *([("PREFIX", prefix)] if prefix else [])]
    return CopyPlan(
        backup=(("FILESYSTEM", filesystem), ("TYPE", "dump"), *variables),
        recover=tuple(recover),
        names=(m.Name(original_path="/", destination_path=to, name=name),),
        kinds=(AddrType.TCP,),
    )


async def test_an_own_volume_is_read_and_written(two: ServedStack) -> None:
    assert "may not use" not in await copied(two, plan_of(OWN, f"{OWN}/copy"))
    assert (two.volume / "copy" / "mine").read_text() == "planted"


@pytest.mark.parametrize(
    ("to", "name", "prefix"),
    [
        (OTHER, "", ""),
        ("/", "vs2/vol1", ""),
        ("/.", "./vs2/vol1", ""),
        ("//", "/vs2//vol1/payroll", ""),
        ("", "vs2/vol1", "/"),
        ("", "vol1", OTHER),
        ("/./vs2/vol1", "", ""),
    ],
)
async def test_another_svm_is_never_written(
    two: ServedStack, to: str, name: str, prefix: str
) -> None:
    before = sorted(other(two).rglob("*"))
    told = await copied(two, plan_of(OWN, to, name=name, prefix=prefix))
    assert "refuses DATA_START_RECOVER" in told
    assert sorted(other(two).rglob("*")) == before


@pytest.mark.parametrize(
    "filesystem", [OTHER, "/", "//", "/.", "/./vs2/vol1", "//vs2/vol1", "/vs2"]
)
async def test_another_svm_is_never_read(two: ServedStack, filesystem: str) -> None:
    for last in (OTHER, "vs2/vol1", "vol1", "."):
        subtrees = (("DMP_NAME", "x"), ("MULTI_SUBTREE_NAMES", f"payroll\n{last}"))
        told = await copied(two, plan_of(filesystem, f"{OWN}/stolen", *subtrees))
        assert "refuses DATA_START_BACKUP" in told
    assert not (two.volume / "stolen").exists()


@pytest.mark.parametrize("own", ["/vs1/vol9", "/vs1/vol9/x", "/vs1/vol1/none"])
async def test_no_message_names_what_another_svm_has(two: ServedStack, own: str) -> None:
    for plan in (plan_of(own, f"{OWN}/copy"), plan_of(OWN, own, name="x")):
        assert OTHER not in await copied(two, plan)


async def test_a_path_made_of_two_words_is_named_as_it_would_be_opened(two: ServedStack) -> None:
    told = await copied(two, plan_of(OWN, "/", name="vs2/vol1"))
    assert f"ndmp may not use {OTHER}" in told
    assert "PERMISSION_ERR" in told


@pytest.mark.parametrize("path", [OWN, "/./vs1/vol1", "//vs1/vol1"])
async def test_an_svm_that_is_off_is_off_in_every_spelling(two: ServedStack, path: str) -> None:
    await typed(two, "vserver services ndmp off -vserver vs1")
    told = await copied(two, plan_of(path, f"{OWN}/copy"))
    assert "NDMP is off for the storage virtual machine vs1" in told
    assert not (two.volume / "copy").exists()
