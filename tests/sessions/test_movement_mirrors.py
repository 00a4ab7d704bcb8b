"""Transfers between volumes whose storage is about to move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from mirror_stack import (
    COPY,
    SOURCE,
    Gate,
    initialized,
    mirror,
    mirror_stack,
    relationship,
    storage_of,
)
from tapekit.errors import TapekitError
from tapekit.hookspecs.movements import Abort, JobKind, VolumeJob
from tapekit_cluster.errors import CATALOGUE
from tapekit_snapmirror.relationships import MirrorState

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_transfer_is_jobs_and_is_aborted_like_them(tmp_path: Path) -> None:
    gate = Gate("smtape.restore-started")
    async with mirror_stack(tmp_path / "site", [gate.available()]) as stack:
        (stack.volume / "file").write_bytes(b"first")
        await mirror(stack, "create", SOURCE, COPY)
        await mirror(stack, "initialize", COPY)
        with trio.fail_after(60):
            await gate.reached.wait()
        jobs = stack.kernel.volume_jobs
        found = {(job.volumes, job.kind) for job in jobs.running()}
        assert ((COPY,), JobKind.IMAGE_RESTORE) in found
        # What comes before and after them is one too.
        assert ((SOURCE, COPY), JobKind.IMAGE_RESTORE) in found

        def how(job: VolumeJob) -> Abort | None:
            error = CATALOGUE.error("aborted-by-relocation")
            return Abort(error) if COPY in job.volumes else None

        aborted = jobs.abort(how)
        gate.opened.set()
        assert await trio.to_thread.run_sync(jobs.await_left, aborted, 60.0) == []
        copies = await trio.to_thread.run_sync(storage_of(stack).snapshot_names, SOURCE)
        assert copies == [], "what was made for the transfer has gone by then"
        with pytest.raises(TapekitError, match=r"Transfer failed \(ARL initiated abort\)"):
            await mirror(stack, "wait", COPY)
        assert (await relationship(stack)).state is MirrorState.UNINITIALIZED
        await mirror(stack, "initialize", COPY, "--wait")


@pytest.mark.parametrize(
    ("word", "volume"), [("break", COPY), ("delete", COPY), ("delete", SOURCE)]
)
async def test_a_relationship_does_not_change_while_its_storage_moves(
    tmp_path: Path, word: str, volume: str
) -> None:
    async with mirror_stack(tmp_path / "site") as stack:
        (stack.volume / "file").write_bytes(b"first")
        await initialized(stack)
        before = await relationship(stack)

        def refuse(job: VolumeJob) -> TapekitError | None:
            return CATALOGUE.error("aggregate-under-migration") if volume in job.volumes else None

        door = stack.kernel.volume_jobs.shut(refuse)
        with pytest.raises(TapekitError, match="aggregate"):
            await mirror(stack, word, COPY)
        assert await relationship(stack) == before
        door.open()
        await mirror(stack, word, COPY)
        assert stack.kernel.volume_jobs.running() == []
