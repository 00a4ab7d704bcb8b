"""Volumes that change state and type while a stack serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from session_stack import clock, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.kernel import assemble, installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, Watch, back_up, recover
from tapekit_ndmp_v4.errors import NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, NdmpError, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import BackupResult

VOLUME = "/vs1/vol1"
RECORD = 10240


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory)) as served:
        (served.volume / "file").write_bytes(b"content")
        yield served


async def typed(stack: ServedStack, *words: str) -> str:
    """What ``tapekit volume`` prints in a process of its own: another kernel
    of the same stack file.

    :raises TapekitError: what the command raised.
    """

    def run() -> str:
        kernel = assemble(stack.directory / "tapekit.toml", installed(), clock=clock)
        app = group_command([kernel.command_groups({})["volume"]])
        done = CliRunner().invoke(app, ("volume", *words))
        if done.exception is not None:
            raise done.exception
        return done.output

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(run)


def plan(*variables: tuple[str, str]) -> BackupPlan:
    environment = (("FILESYSTEM", VOLUME), ("UPDATE", "Y"), *variables)
    return BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=RECORD)


def listening() -> tuple[list[str], Watch]:
    told: list[str] = []

    def hear(post: object) -> None:
        if isinstance(post, m.LogMessagePost):
            told.append(post.entry.strip())

    return told, Watch(on_post=hear)


async def refused(stack: ServedStack, work: Any) -> str:
    """Why a backup or a restore is refused."""
    told, watch = listening()
    async with stack.client() as client:
        with pytest.raises(NdmpReplyError) as caught:
            await work(client, watch)
    assert caught.value.code == NdmpError.ILLEGAL_ARGS_ERR
    return told[-1]


async def status_of(stack: ServedStack) -> tuple[str, bool, bool]:
    """What CONFIG_GET_FS_INFO tells: the state, and whether backups and
    restores may come.
    """
    async with stack.client() as client:
        (info,) = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
    names = {pair.name for pair in info.fs_env}
    return info.fs_status, "AVAILABLE_BACKUP" in names, "AVAILABLE_RECOVERY" in names


@pytest.mark.requirement("R379")
async def test_a_running_server_heeds_the_state_of_a_volume(stack: ServedStack) -> None:
    def back(client: Any, watch: Watch) -> Any:
        return back_up(client, plan(), watch=watch)

    assert await status_of(stack) == ("online", True, True)
    await typed(stack, "offline", VOLUME)
    assert await status_of(stack) == ("offline", False, False)
    assert (await refused(stack, back)).startswith("Volume offline [volumes.volume-offline: ")
    await typed(stack, "restrict", VOLUME)
    assert await status_of(stack) == ("restricted", False, False)
    assert "/vs1/vol1 is restricted" in await refused(stack, back)
    await typed(stack, "online", VOLUME)
    async with stack.client() as client:
        await back_up(client, plan())


async def test_a_backup_that_runs_keeps_the_state_of_its_volume(stack: ServedStack) -> None:
    (stack.volume / "large").write_bytes(bytes(8 << 20))
    async with stack.client() as client:
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        await client.call(m.MoverSetWindowRequest(offset=0, length=RECORD))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        env = (Pair("FILESYSTEM", VOLUME),)
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=env))
        with trio.fail_after(60):
            await client.wait_for(m.NotifyMoverPausedPost)
        for words in (("offline", VOLUME), ("modify", VOLUME, "--type", "dp")):
            with pytest.raises(TapekitError, match="/vs1/vol1 is in use"):
                await typed(stack, *words)
        await client.call(m.DataAbortRequest())
        await client.wait_for(m.NotifyDataHaltedPost)
        await client.call(m.DataStopRequest())
        await typed(stack, "offline", VOLUME)


@pytest.mark.requirement("R266")
@pytest.mark.requirement("R274")
@pytest.mark.requirement("R338")
async def test_a_volume_that_becomes_read_only_asks_for_a_baseline(stack: ServedStack) -> None:
    async with stack.client() as client:
        backup = await back_up(client, plan(("LEVEL", "0")))
    await typed(stack, "modify", VOLUME, "--type", "dp")
    assert await status_of(stack) == ("online", True, False)
    told, watch = listening()
    async with stack.client() as client:
        await back_up(client, plan(("LEVEL", "1")), watch=watch)
    assert any("so this one is a full backup of level 0" in line for line in told)
    restore = RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="/", destination_path=VOLUME),),
        record_size=RECORD,
    )
    reason = await refused(stack, lambda client, watch: recover(client, restore, watch=watch))
    assert reason.startswith("Destination volume is read-only [")


@pytest.mark.requirement("R274")
async def test_an_increment_is_not_restored_to_a_volume_that_was_read_only_meanwhile(
    stack: ServedStack,
) -> None:
    (stack.volume / "data").mkdir()

    def data(level: int) -> BackupPlan:
        environment = (("FILESYSTEM", f"{VOLUME}/data"), ("UPDATE", "Y"), ("LEVEL", str(level)))
        return BackupPlan(tape=TapeAt(f"nrst{level}a"), environment=environment, record_size=RECORD)

    async def restore(backup: BackupResult, watch: Watch) -> None:
        plan = RecoverPlan(
            parts=backup.parts,
            environment=backup.environment,
            names=(m.Name(original_path="", destination_path=f"{VOLUME}/back"),),
            record_size=RECORD,
        )
        async with stack.client() as client:
            await recover(client, plan, watch=watch)

    told, watch = listening()
    async with stack.client() as client:
        full = await back_up(client, data(0))
        (stack.volume / "data" / "new").touch()
        increment = await back_up(client, data(1))
    await restore(full, watch)
    for kind in ("dp", "rw"):
        await typed(stack, "modify", VOLUME, "--type", kind)
    with pytest.raises(OperationFailed):
        await restore(increment, watch)
    assert any("nothing known" in line for line in told)
    await restore(full, watch)
    await restore(increment, watch)
    assert (stack.volume / "back" / "new").exists()
