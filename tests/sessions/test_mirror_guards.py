"""What backups and restores may do with the volumes of a relationship, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from mirror_stack import (
    BACK,
    COPY,
    SOURCE,
    Gate,
    copies,
    initialized,
    mirror,
    mirror_stack,
    relationship,
    storage_of,
    take,
    typed,
)
from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, Watch, back_up, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_snapmirror.relationships import MirrorState, TransferStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

RECORD_BYTES = 65536


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    async with mirror_stack(tmp_path / "site") as served:
        (served.volume / "file").write_bytes(b"first")
        yield served


class Heard:
    """What the server tells in messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.watch = Watch(on_post=self._hear)

    def _hear(self, post: object) -> None:
        if isinstance(post, m.LogMessagePost):
            self.lines.append(post.entry.strip())


async def backup(
    stack: ServedStack,
    volume: str,
    butype: str,
    heard: Heard,
    device: str = "nrst0a",
    **variables: str,
) -> BackupResult:
    plan = BackupPlan(
        tape=TapeAt(device),
        environment=(("FILESYSTEM", volume), *variables.items()),
        butype=butype,
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        return await back_up(client, plan, watch=heard.watch)


async def restore(
    stack: ServedStack, made: BackupResult, volume: str, butype: str, heard: Heard
) -> None:
    plan = RecoverPlan(
        parts=made.parts,
        environment=made.environment,
        names=(m.Name(original_path="/", destination_path=volume),),
        butype=butype,
        record_size=RECORD_BYTES,
    )
    async with stack.client() as client:
        await recover(client, plan, watch=heard.watch)


async def refused_backup(stack: ServedStack, butype: str) -> str:
    """Why a backup of the copy is refused."""
    heard = Heard()
    with pytest.raises(NdmpReplyError):
        await backup(stack, COPY, butype, heard)
    return heard.lines[-1]


@pytest.mark.requirement("R266")
@pytest.mark.requirement("R340")
async def test_no_dump_begins_during_a_resync_and_the_next_one_is_a_baseline(
    tmp_path: Path,
) -> None:
    gate = Gate("smtape.restore-started")
    gate.opened.set()
    async with mirror_stack(tmp_path / "site", [gate.available()]) as stack:
        (stack.volume / "file").write_bytes(b"first")
        await initialized(stack, "vault")
        await backup(stack, COPY, "dump", Heard(), LEVEL="0", UPDATE="Y")
        await mirror(stack, "break", COPY)
        gate.opened = trio.Event()
        await mirror(stack, "resync", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        assert (await relationship(stack)).status is TransferStatus.TRANSFERRING
        reason = await refused_backup(stack, "dump")
        assert reason.startswith("Dumps temporarily disabled on volume, try again [")
        with pytest.raises(TapekitError, match="at work on its relationship"):
            await mirror(stack, "break", COPY)
        gate.opened.set()
        await mirror(stack, "wait", COPY)
        heard = Heard()
        await backup(stack, COPY, "dump", heard, LEVEL="1", UPDATE="Y")
        assert any("so this one is a full backup of level 0" in line for line in heard.lines)


@pytest.mark.requirement("R356")
async def test_a_volume_that_is_being_initialized_has_no_latest_copy(tmp_path: Path) -> None:
    gate = Gate("smtape.restore-started")
    async with mirror_stack(tmp_path / "site", [gate.available()]) as stack:
        await mirror(stack, "create", SOURCE, COPY)
        assert (await refused_backup(stack, "smtape")).startswith("Failed to get latest snapshot [")
        await mirror(stack, "initialize", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        assert (await refused_backup(stack, "smtape")).startswith("Failed to get latest snapshot [")
        gate.opened.set()
        await mirror(stack, "wait", COPY)
        await backup(stack, COPY, "smtape", Heard())


@pytest.mark.requirement("R275")
async def test_a_restore_by_dump_and_a_transfer_exclude_each_other(tmp_path: Path) -> None:
    gate = Gate("smtape.restore-started")
    gate.opened.set()
    async with mirror_stack(tmp_path / "site", [gate.available()]) as stack:
        made = await backup(stack, SOURCE, "dump", Heard())
        await initialized(stack)
        await mirror(stack, "break", COPY)
        open_restore = storage_of(stack).open_restore
        tree = await trio.to_thread.run_sync(open_restore, COPY, "session 7")
        with pytest.raises(TapekitError, match="/vs1/copy is in use"):
            await mirror(stack, "resync", COPY, "--wait")
        tree.close()
        gate.opened = trio.Event()
        await mirror(stack, "resync", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        heard = Heard()
        with pytest.raises(NdmpReplyError):
            await restore(stack, made, COPY, "dump", heard)
        assert "/vs1/copy is restricted" in heard.lines[-1]
        gate.opened.set()
        await mirror(stack, "wait", COPY)


@pytest.mark.requirement("R289")
async def test_a_copy_that_smtape_holds_stays_and_the_update_fails(stack: ServedStack) -> None:
    take(stack, "daily")
    await initialized(stack)
    hold = storage_of(stack).hold_snapshot
    held = await trio.to_thread.run_sync(hold, COPY, "daily", "session 7")
    with pytest.raises(TapekitError, match="in use by session 7"):
        await typed(stack, "volume", "snapshot", "delete", COPY, "daily")
    await typed(stack, "volume", "snapshot", "delete", SOURCE, "daily")
    with pytest.raises(TapekitError, match="update, failed: /vs1/copy is in use"):
        await mirror(stack, "update", COPY, "--wait")
    assert copies(stack, SOURCE) == ["snapmirror 1"]
    held.close()
    await mirror(stack, "update", COPY, "--wait")
    assert copies(stack, COPY) == ["snapmirror 3"]


@pytest.mark.requirement("R289")
async def test_an_update_without_a_common_copy_asks_for_a_baseline(stack: ServedStack) -> None:
    await initialized(stack)
    storage = storage_of(stack)
    (common,) = storage.snapshot_copies(SOURCE)
    storage.unlock_snapshot(SOURCE, common.name, "snapmirror of /vs1/copy")
    storage.delete_snapshot(SOURCE, common.name, "somebody")
    with pytest.raises(TapekitError, match="no update can follow it") as caught:
        await mirror(stack, "update", COPY)
    assert "tapekit snapmirror resync /vs1/copy" in caught.value.action
    (stack.volume / "file").write_bytes(b"second")
    await mirror(stack, "resync", COPY, "--wait")
    assert (stack.volume.with_name("copy") / "file").read_bytes() == b"second"


@pytest.mark.requirement("R288")
async def test_smtape_leaves_the_copies_of_relationships_alone(stack: ServedStack) -> None:
    take(stack, "daily")
    await initialized(stack)
    heard, volume = Heard(), storage_of(stack).snapshot_copies(COPY)
    made = await backup(stack, COPY, "smtape", heard)
    assert dict(made.environment)["DUMP_DATE"] == volume[0].identifier
    assert not any("temporary Snapshot copy" in line for line in heard.lines)
    await backup(stack, COPY, "smtape", heard, SMTAPE_SNAPSHOT_NAME=volume[1].name)
    assert any("temporary Snapshot copy of a SnapMirror" in line for line in heard.lines)


@pytest.mark.requirement("R120")
async def test_no_backup_has_the_relationship(stack: ServedStack) -> None:
    take(stack, "daily")
    await initialized(stack)
    data = await backup(stack, COPY, "dump", Heard())
    image = await backup(stack, COPY, "smtape", Heard(), device="nrst1a")
    await mirror(stack, "delete", COPY)
    storage, heard = storage_of(stack), Heard()
    await typed(stack, "volume", "restrict", BACK)
    await restore(stack, image, BACK, "smtape", heard)
    assert copies(stack, BACK) == ["daily"]
    assert (stack.volume.with_name("back") / "file").read_bytes() == b"first"
    assert storage.volume_facts(BACK).state is VolumeState.ONLINE
    await restore(stack, data, f"{SOURCE}/restored", "dump", heard)
    assert [each.name for each in (stack.volume / "restored").iterdir()] == ["file"]
    assert await mirror(stack, "show", "--json") == "[]\n"


@pytest.mark.requirement("R294")
@pytest.mark.parametrize("words", [("initialize", COPY, "--seeded"), ("resync", COPY)])
async def test_a_tape_seeds_a_mirror(stack: ServedStack, words: tuple[str, ...]) -> None:
    (stack.volume / "large").write_bytes(bytes(range(256)) * 4096)
    take(stack, "seed")
    image = await backup(stack, SOURCE, "smtape", Heard(), SMTAPE_SNAPSHOT_NAME="seed")
    await mirror(stack, "create", SOURCE, COPY)
    with pytest.raises(TapekitError, match="no update can follow it"):
        await mirror(stack, "initialize", COPY, "--seeded")
    await typed(stack, "volume", "restrict", COPY)
    await restore(stack, image, COPY, "smtape", Heard())
    (stack.volume / "file").write_bytes(b"second")
    await mirror(stack, *words, "--wait")
    now = await relationship(stack)
    assert now.state is MirrorState.SNAPMIRRORED
    assert now.last is not None
    assert now.last.bytes < 1 << 19
    (stack.volume / "file").write_bytes(b"third")
    await mirror(stack, "update", COPY, "--wait")
    assert (stack.volume.with_name("copy") / "file").read_bytes() == b"third"


async def test_a_transfer_is_aborted_and_repeated(tmp_path: Path) -> None:
    gate = Gate("smtape.restore-started")
    async with mirror_stack(tmp_path / "site", [gate.available()]) as stack:
        (stack.volume / "file").write_bytes(b"first")
        await mirror(stack, "create", SOURCE, COPY)
        with pytest.raises(TapekitError, match="no transfer runs"):
            await mirror(stack, "abort", COPY)
        await mirror(stack, "initialize", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        await mirror(stack, "abort", COPY)
        with pytest.raises(TapekitError, match="The transfer to /vs1/copy was aborted"):
            await mirror(stack, "wait", COPY)
        assert copies(stack, SOURCE) == []
        assert storage_of(stack).volume_facts(COPY).state is VolumeState.ONLINE
        gate.opened.set()
        await mirror(stack, "initialize", COPY, "--wait")
        assert (stack.volume.with_name("copy") / "file").read_bytes() == b"first"


async def test_a_transfer_that_the_end_of_the_server_cuts_is_repeated(tmp_path: Path) -> None:
    directory, gate = tmp_path / "site", Gate("smtape.restore-started")
    async with mirror_stack(directory, [gate.available()]) as stack:
        (stack.volume / "file").write_bytes(b"first")
        await mirror(stack, "create", SOURCE, COPY)
        await mirror(stack, "initialize", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        await stack.hurry()
        await stack.hurry()
        gate.opened.set()
    async with mirror_stack(directory, [gate.available()]) as stack:
        cut = await relationship(stack)
        assert (cut.state, cut.status) == (MirrorState.UNINITIALIZED, TransferStatus.IDLE)
        assert cut.last is not None
        assert cut.last.error is not None
        assert "was interrupted" in cut.last.error
        assert copies(stack, SOURCE) == []
        await mirror(stack, "initialize", COPY, "--wait")
        assert (stack.volume.with_name("copy") / "file").read_bytes() == b"first"
