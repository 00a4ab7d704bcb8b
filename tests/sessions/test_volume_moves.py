"""Moves of a volume to another aggregate, beside the backups and restores of it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from move_stack import COPY, WHICH, finished, move_stack, place, shown, start, waited
from movement_stack import (
    BACK,
    LIMIT_S,
    SOURCE,
    backup,
    fill,
    restrict,
    storage_of,
    typed,
    waiting_backup,
)

from tapekit.errors import TapekitError
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.operations import OperationRefused
from tapekit_ndmp_v4.client import RecoverPlan, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.messages import Name
from tapekit_ndmp_v4.numbers import DataHaltReason
from tapekit_volume_move.errors import CATALOGUE as VOLUME_MOVE
from tapekit_volume_move.records import Move, MoveLedger, Phase

if TYPE_CHECKING:
    from pathlib import Path

    from session_stack import ServedStack


@pytest.mark.requirement("R271")
async def test_a_volume_moves_with_all_that_is_in_it(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        before = place(stack)
        _furnish(before)
        storage_of(stack).create_snapshot(SOURCE, "monday", "nobody")
        (before / "tuesday").write_text("new")
        there = await finished(stack)
        assert there == (tmp_path / "site" / "aggr2" / "vs1" / "vol1").resolve()
        assert _described(there) == _described(before)
        assert storage_of(stack).snapshot_names(SOURCE) == ["monday"]
        move = await shown(stack)
        assert (move.phase, move.left, move.reason) == (Phase.COMPLETED, str(before), None)
    async with move_stack(tmp_path / "site") as stack:
        assert place(stack) == there


def _furnish(volume: Path) -> None:
    folder = volume / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    os.link(folder / "file", volume / "linked")
    (volume / "symbolic").symlink_to("folder/file")
    with (volume / "sparse").open("wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 23)
        file.write(b"in the middle")
    os.mkfifo(volume / "fifo")
    os.utime(folder / "file", ns=(1, 1_000_000_007))
    folder.chmod(0o2750)


def _described(top: Path) -> dict[str, tuple[object, ...]]:
    """All that is in a tree, but for what no copy can have too."""
    return {
        str(path.relative_to(top)): _object(path)
        for path in sorted(top.rglob("*"))
        if path.name != ".snapshot"
    }


def _object(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    target = path.readlink() if path.is_symlink() else None
    # A dump has no more than microseconds.
    return (status.st_mode, status.st_mtime_ns // 1000, status.st_nlink, content, target)


async def _dumped(stack: ServedStack, level: int) -> list[str]:
    """What a dump of a level tells, which has been restored on top of the one before."""
    told: list[str] = []
    more = (("LEVEL", str(level)), ("UPDATE", "Y"))
    made = await backup(stack, "dump", more=more, told=told)
    plan = RecoverPlan(
        parts=made.parts,
        environment=made.environment,
        names=(Name(original_path="/", destination_path=COPY),),
    )
    async with stack.client() as client:
        assert (await recover(client, plan)).data_halt is DataHaltReason.SUCCESSFUL
    return told


@pytest.mark.requirement("R272")
async def test_increments_go_on_after_a_move_and_restore_what_is_there(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        _furnish(place(stack))
        (place(stack) / "removed").write_text("to be removed")
        await _dumped(stack, 0)
        copy = storage_of(stack).volume(COPY).directory
        there = await finished(stack)
        (there / "removed").unlink()
        (there / "folder").rename(there / "renamed")
        told = await _dumped(stack, 1)
        assert any("the volume has moved since the backup of" in line for line in told), told
        assert _described(copy) == _described(there)
        (there / "fifo").unlink()
        told = await _dumped(stack, 2)
        assert not any("moved since" in line for line in told), told
        assert _described(copy) == _described(there)


@pytest.mark.requirement("R271")
@pytest.mark.requirement("R378")
async def test_a_cutover_waits_for_what_runs_and_refuses_what_is_new(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        fill(place(stack))
        before = place(stack)
        async with waiting_backup(stack, "dump") as heard:
            await start(stack, "-cutover-window 600")
            await _until(stack, Phase.CUTOVER)
            assert _refused(stack, "dump") == (
                f"dump backup of {SOURCE} cannot begin: the volume is at the cutover of its move"
            )
            assert _refused(stack, "smtape") == "Volume is currently under migration"
            assert place(stack) == before
            assert await heard.go_on() is DataHaltReason.SUCCESSFUL
        assert (await waited(stack)).phase is Phase.COMPLETED
        assert place(stack) != before
        await backup(stack, "smtape")


@pytest.mark.requirement("R296")
async def test_a_cutover_beside_smtape_is_deferred_and_triggered_by_hand(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        fill(place(stack))
        before = place(stack)
        async with waiting_backup(stack, "smtape") as heard:
            await start(stack)
            move = await waited(stack)
            assert move.phase is Phase.DEFERRED
            assert (move.reason or "").startswith("cutover deferred: session")
            assert place(stack) == before
            assert await heard.go_on() is DataHaltReason.SUCCESSFUL
        assert (await shown(stack)).phase is Phase.DEFERRED
        await typed(stack, f"volume move trigger-cutover {WHICH} --wait")
        assert place(stack) != before


@pytest.mark.requirement("R271")
async def test_a_cutover_whose_window_ends_leaves_the_volume_where_it_was(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        fill(place(stack))
        before = place(stack)
        async with waiting_backup(stack, "dump") as heard:
            await start(stack, "-cutover-window 1 -cutover-action abort_on_failure")
            move = await waited(stack)
            assert move.phase is Phase.FAILED
            assert "after 1 seconds there still are" in (move.reason or "")
            assert await heard.go_on() is DataHaltReason.SUCCESSFUL
        assert place(stack) == before
        # What has been moved is not moved once more.
        assert await finished(stack) != before
        assert (await shown(stack)).passes > move.passes


@pytest.mark.requirement("R297")
async def test_a_baseline_restore_and_a_move_exclude_each_other(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        before = place(stack)
        jobs = stack.kernel.volume_jobs
        job = {"volumes": (SOURCE,), "engine": "smtape", "holder": "session 1"}
        stay = jobs.enter(kind=JobKind.BASELINE_RESTORE, **job)
        with pytest.raises(OperationRefused, match="cannot move now"):
            await start(stack)
        stay.leave()
        await start(stack, "-cutover-action wait")
        assert (await waited(stack)).phase is Phase.DEFERRED
        stay = jobs.enter(kind=JobKind.IMAGE_RESTORE, **job)
        with pytest.raises(TapekitError, match="No baseline can be restored"):
            stay.becomes(JobKind.BASELINE_RESTORE)
        # An increment behaves as a backup does.
        stay.becomes(JobKind.INCREMENTAL_RESTORE)
        stay.leave()
        await typed(stack, f"volume move abort {WHICH}")
        jobs.enter(kind=JobKind.BASELINE_RESTORE, **job).leave()
        assert place(stack) == before


async def test_images_follow_none_from_before_a_move(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        made = dict((await backup(stack, "smtape")).environment)
        await finished(stack)
        storage_of(stack).create_snapshot(SOURCE, "after", "nobody")
        told: list[str] = []
        more = (
            ("SMTAPE_SNAPSHOT_NAME", "after"),
            ("BASE_DATE", made["DUMP_DATE"]),
            ("SMTAPE_BACKUP_SET_ID", made["SMTAPE_BACKUP_SET_ID"]),
        )
        with pytest.raises(NdmpReplyError):
            await backup(stack, "smtape", more=more, told=told)
        assert "no Snapshot copy has the identifier" in told[-1], told


async def test_a_mirror_is_resynchronized_after_a_move_of_its_source(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        (place(stack) / "file").write_text("content")
        await restrict(stack)
        await typed(stack, f"snapmirror create {SOURCE} {BACK}")
        await typed(stack, f"snapmirror initialize {BACK} --wait")
        there = await finished(stack)
        (there / "file").rename(there / "renamed")
        with pytest.raises(TapekitError):
            await typed(stack, f"snapmirror update {BACK} --wait")
        await typed(stack, f"snapmirror resync {BACK} --wait")
        (there / "more").write_text("more")
        await typed(stack, f"snapmirror update {BACK} --wait")
        assert _described(storage_of(stack).volume(BACK).directory) == _described(there)


async def test_an_aborted_move_leaves_its_content_to_be_removed_by_hand(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        (place(stack) / "file").write_text("content")
        storage_of(stack).create_snapshot(SOURCE, "kept", "nobody")
        await start(stack, "-cutover-action wait")
        await waited(stack)
        told = await typed(stack, f"volume move abort {WHICH}")
        assert "aggr2/vs1/vol1: remove it before a new move" in told
        assert storage_of(stack).snapshot_names(SOURCE) == ["kept"]
        with pytest.raises(OperationRefused, match="is not empty"):
            await start(stack)
        shutil.rmtree(stack.directory / "aggr2" / "vs1")
        await finished(stack)


async def test_a_move_that_the_end_of_the_server_cuts_goes_on(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        before = place(stack)
        (before / "file").write_text("content")
        await start(stack, "-cutover-action wait")
        await waited(stack)
    async with move_stack(tmp_path / "site") as stack:
        move = await shown(stack)
        assert (move.phase, place(stack)) == (Phase.INTERRUPTED, before)
        (before / "file").write_text("changed")
        there = await finished(stack)
        assert (there / "file").read_text() == "changed"
        assert (await shown(stack)).id == move.id


@pytest.mark.parametrize(
    ("has_moved", "phase"), [(False, Phase.INTERRUPTED), (True, Phase.COMPLETED)]
)
async def test_a_killed_server_tells_at_its_next_start_how_a_move_stands(
    tmp_path: Path, has_moved: bool, phase: Phase
) -> None:
    async with move_stack(tmp_path / "site") as stack:
        before = place(stack)
        if has_moved:
            await finished(stack)
        else:
            await start(stack, "-cutover-action wait")
            await waited(stack)
        there = place(stack)
        # What a killed server has remembered last.
        cut = msgspec.structs.replace(await shown(stack), phase=Phase.CUTOVER, ended_s=None)
    async with move_stack(tmp_path / "site") as stack:
        MoveLedger(stack.kernel.state).write(cut)
    async with move_stack(tmp_path / "site") as stack:
        assert ((await shown(stack)).phase, place(stack)) == (phase, there)
        assert (there != before) is has_moved
        assert not [
            name
            for name in storage_of(stack).snapshot_names(SOURCE)
            if has_moved and name.startswith("volume_move.")
        ]


async def test_what_is_written_to_the_old_place_too_late_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with move_stack(tmp_path / "site") as stack:
        before, storage = place(stack), storage_of(stack)
        move_in = storage.move_in

        def and_write(*request: Any) -> str:
            left = move_in(*request)
            (before / "late").touch()
            return left

        monkeypatch.setattr(storage, "move_in", and_write)
        await finished(stack)
        move = await shown(stack)
        assert move.phase is Phase.COMPLETED
        assert (move.reason or "").startswith(f"{SOURCE} has moved, but something has changed in")


async def test_a_cutover_is_tried_again_when_the_jobs_in_its_way_have_ended(
    tmp_path: Path,
) -> None:
    async with move_stack(tmp_path / "site") as stack:
        fill(place(stack))
        before = place(stack)
        async with waiting_backup(stack, "dump") as heard:
            await start(stack, "-cutover-window 1 -cutover-action retry_on_failure")
            with trio.fail_after(LIMIT_S):
                while not (move := await shown(stack)).reason:
                    await trio.lowlevel.checkpoint()
            assert "still are" in (move.reason or "")
            assert await heard.go_on() is DataHaltReason.SUCCESSFUL
        move = await waited(stack)
        assert (move.phase, place(stack) != before) == (Phase.COMPLETED, True)
        assert move.attempts > 1


async def test_a_second_move_of_a_volume_and_impossible_ones_are_refused(tmp_path: Path) -> None:
    async with move_stack(tmp_path / "site") as stack:
        line = f"volume move start {WHICH} -destination-aggregate"
        with pytest.raises(
            OperationRefused, match="no volume can move to aggr9; those that take volumes: aggr2"
        ):
            await typed(stack, f"{line} aggr9")
        with pytest.raises(OperationRefused, match="is not being moved"):
            await typed(stack, f"volume move abort {WHICH}")
        await start(stack, "-cutover-action wait")
        await waited(stack)
        with pytest.raises(OperationRefused, match="is being moved to aggr2: cutover_deferred"):
            await start(stack)
        await typed(stack, f"volume move trigger-cutover {WHICH} --wait")
        with pytest.raises(OperationRefused, match="is in aggr2 already"):
            await start(stack)


async def test_a_state_that_cannot_be_written_ends_a_move_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MoveLedger.write

    def full(ledger: MoveLedger, move: Move) -> Move:
        if move.passes:
            raise VOLUME_MOVE.error("move-failed", volume=SOURCE, reason="the disk is full")
        return write(ledger, move)

    async with move_stack(tmp_path / "site") as stack:
        before = place(stack)
        with monkeypatch.context() as patched:
            patched.setattr(MoveLedger, "write", full)
            await start(stack)
            await waited(stack)
        assert place(stack) == before
        assert (await shown(stack)).phase.is_on
        await finished(stack)
        assert place(stack) != before


async def _until(stack: ServedStack, phase: Phase) -> None:
    with trio.fail_after(LIMIT_S):
        while (await shown(stack)).phase is not phase:
            await trio.lowlevel.checkpoint()


def _refused(stack: ServedStack, engine: str) -> str:
    """What a backup that does not begin is told."""
    with pytest.raises(TapekitError) as caught:
        stack.kernel.volume_jobs.enter(
            volumes=(SOURCE,), engine=engine, kind=JobKind.BACKUP, holder="session 2"
        )
    return str(caught.value)
