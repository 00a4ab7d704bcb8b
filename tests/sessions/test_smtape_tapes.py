"""Images of volumes over two small cartridges, in their order and not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest
import trio
from test_smtape import RECORD_BYTES, SOURCE, TARGET, restrict, take, with_target

from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    ImagePart,
    RecoverPlan,
    TapeAt,
    TapeWanted,
    back_up,
    recover,
)
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

SMALL: Final = """drives = 2
faults = [
    { kind = "early-warning", byte = 3_500_000 },
    { kind = "end-of-medium", byte = 4_500_000 },
]"""
FIRST, SECOND = TapeAt("nrst0a"), TapeAt("nrst1a")


def on_small_tapes(text: str) -> str:
    return with_target(text.replace("drives = 2", SMALL))


async def back_up_image(stack: ServedStack, *, three_way: bool = False) -> BackupResult:
    """An image over as many tapes as it takes, each in a drive of its own."""
    await trio.to_thread.run_sync(take, stack, "copy")
    plan = BackupPlan(
        tape=FIRST,
        environment=(("FILESYSTEM", SOURCE), ("SMTAPE_SNAPSHOT_NAME", "copy")),
        butype="smtape",
        record_size=RECORD_BYTES,
    )

    async def next_tape(_wanted: TapeWanted) -> TapeAt:
        return SECOND

    async with stack.client() as client:
        if not three_way:
            return await back_up(client, plan, next_tape=next_tape)
        async with stack.client() as tape:
            return await back_up(client, plan, tape=tape, next_tape=next_tape)


async def restore_image(
    stack: ServedStack,
    backup: BackupResult,
    tapes: Sequence[TapeAt],
    *,
    three_way: bool = False,
) -> list[str]:
    """Restore from tapes in an order; gives what the server said.

    :param tapes: where each part of the image is looked for.
    """
    await trio.to_thread.run_sync(restrict, stack)
    parts = tuple(
        ImagePart(tape, part.offset, part.length)
        for part, tape in zip(backup.parts, tapes, strict=True)
    )
    plan = RecoverPlan(
        parts=parts,
        environment=backup.environment,
        names=(m.Name(original_path="/", destination_path=TARGET),),
        butype="smtape",
        record_size=RECORD_BYTES,
    )
    told: list[str] = []

    async def next_tape(wanted: TapeWanted) -> TapeAt:
        return wanted.part.tape

    async with stack.client() as client:
        client.on_post(m.LogMessagePost, lambda post: told.append(post.entry))
        if three_way:
            async with stack.client() as tape:
                await _until_ended(recover, client, plan, tape=tape, next_tape=next_tape)
        else:
            await _until_ended(recover, client, plan, next_tape=next_tape)
    return told


async def _until_ended(call: Callable[..., object], *arguments: object, **named: object) -> None:
    try:
        await call(*arguments, **named)  # type: ignore[misc]  # a coroutine function
    except TapekitError:
        return


@pytest.fixture
def site(tmp_path: Path) -> Path:
    directory = tmp_path / "site"
    (directory / "volumes/vs1/back").mkdir(parents=True)
    return directory


def fill(stack: ServedStack) -> None:
    content = random.Random(17)
    for number in range(5):
        (stack.volume / f"file{number}").write_bytes(content.randbytes(1_300_001))


@pytest.mark.requirement("R005")
@pytest.mark.parametrize("three_way", [False, True])
async def test_an_image_comes_back_from_two_tapes(site: Path, three_way: bool) -> None:
    async with serving(site, new_site(site, on_small_tapes)) as stack:
        fill(stack)
        backup = await back_up_image(stack, three_way=three_way)
        assert [part.tape for part in backup.parts] == [FIRST, SECOND]
        await restore_image(stack, backup, [FIRST, SECOND], three_way=three_way)
        assert compare_trees(stack.volume, stack.volume.with_name("back")) == []


@pytest.mark.requirement("R348")
async def test_tapes_in_a_wrong_order_are_told(site: Path) -> None:
    async with serving(site, new_site(site, on_small_tapes)) as stack:
        fill(stack)
        backup = await back_up_image(stack)
        told = await restore_image(stack, backup, [FIRST, FIRST])
        assert any(text.startswith("Chunks out of order") for text in told), told
        facts = stack.kernel.storage.volume_facts(TARGET)  # type: ignore[union-attr]  # it has images
        assert facts.state.value == "restricted"
        assert not facts.is_whole


@pytest.mark.requirement("R372")
async def test_another_tape_first_is_told(site: Path) -> None:
    async with serving(site, new_site(site, on_small_tapes)) as stack:
        fill(stack)
        backup = await back_up_image(stack)
        told = await restore_image(stack, backup, [SECOND, FIRST])
        assert any(text.startswith("Tapes out of order") for text in told), told
