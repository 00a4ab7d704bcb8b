"""Sessions that have chosen class 0x2050: restarts, browsing and recovery."""

from __future__ import annotations

import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from session_stack import ServedStack, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import OperationRefused
from tapekit.kernel import assemble, installed
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, TapeAt, back_up, choose_extensions
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    FileType,
    MoverMode,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_snapext import messages as s
from tapekit_snapext.numbers import SnapError
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CLASS = {0x2050: (3,)}
ASKED = (("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y"))
RECORD = 65536
SHOW = "vserver services ndmp restartable-backup show"
DELETE = "vserver services ndmp restartable-backup delete"


def with_snapext(text: str) -> str:
    text = text.replace("plugins = [\n", 'plugins = [\n    "snapext",\n')
    return text + "\n[dump]\nrestart_checkpoint_bytes = 65536\n[snapext]\nentries_at_once = 7\n"


@asynccontextmanager
async def running(directory: Path, *, again: bool = False) -> AsyncIterator[ServedStack]:
    """A stack with the extension; ``again`` starts one that is there already."""
    if again:
        kernel = assemble(directory / "tapekit.toml", installed(), clock=lambda: 1_700_000_000.0)
    else:
        kernel = new_site(directory, with_snapext)
    async with serving(directory, kernel) as stack:
        yield stack


@asynccontextmanager
async def session(stack: ServedStack) -> AsyncIterator[NdmpClient]:
    async with stack.client() as client:
        assert await choose_extensions(client, CLASS, s.EXCHANGES) == {0x2050: 3}
        yield client


async def refused(client: NdmpClient, request: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(request)
    return caught.value.code


def fill(volume: Path) -> None:
    make_tree(volume, files=60, seed=3, wide=20, deep=4, far=1 << 20)
    chance = random.Random(2)
    for index in range(60):
        (volume / f"small{index}").write_bytes(chance.randbytes(200_000))


async def begin(client: NdmpClient, window: int, *more: tuple[str, str]) -> dict[str, str]:
    """Begin a backup that stops at the end of a window; gives its environment."""
    await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
    await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
    await client.call(m.MoverSetWindowRequest(offset=0, length=window))
    await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
    env = tuple(Pair(*pair) for pair in (*ASKED, *more))
    await client.call(m.DataStartBackupRequest(butype_name="dump", env=env))
    found = await client.call(m.DataGetEnvRequest())
    return {pair.name: pair.value for pair in found.env}


async def typed(stack: ServedStack, line: str) -> str:
    """What a command line prints."""

    def run() -> str:
        groups = stack.kernel.command_groups({}).values()
        found = [group for group in groups if group.name.startswith("vserver")]
        done = CliRunner().invoke(group_command(found), line.split())
        if done.exception is not None:
            raise done.exception
        return done.output

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(run)


async def interrupted(stack: ServedStack, window: int) -> str:
    """Abort a restartable backup with so many bytes on tape; gives its context."""
    async with session(stack) as client:
        told = await begin(client, window, ("RESTARTABLE", "Y"))
        assert told["RESTART_POSITION"] == "0"
        with trio.fail_after(60):
            await client.wait_for(m.NotifyMoverPausedPost)
        shown, busy = f"{SHOW} -vserver vs1 -context-id {told['RESTART_CONTEXT']}", ""
        with trio.fail_after(60):
            # The end of the window may overtake the first checkpoint.
            while "Is Context Restartable?: true" not in busy:
                busy = await typed(stack, shown)
        assert "Is Context Busy?: true" in busy
        with pytest.raises(OperationRefused, match="in use by a running backup"):
            await typed(stack, f"{DELETE} -vserver vs1 -context-id {told['RESTART_CONTEXT']}")
        await client.call(m.DataAbortRequest())
        halted = await client.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason is DataHaltReason.ABORTED
        await client.call(m.DataStopRequest())
        await client.call(m.MoverAbortRequest())
        await client.call(m.MoverStopRequest())
    return told["RESTART_CONTEXT"]


@pytest.mark.requirement("R223")
@pytest.mark.requirement("R224")
@pytest.mark.requirement("R225")
@pytest.mark.requirement("R244")
async def test_contexts_are_listed_shown_in_full_and_deleted(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with running(directory) as stack:
        fill(stack.volume)
        contexts = sorted([await interrupted(stack, 8 << 20), await interrupted(stack, 7 << 20)])
    async with running(directory, again=True) as stack:
        listed = (await typed(stack, SHOW)).splitlines()
        assert listed[0].split("  ")[0] == "Vserver"
        assert "Is Cleanup Pending?" in listed[0]
        assert [line.split() for line in listed[-3:-1]] == [
            ["vs1", context, "false"] for context in contexts
        ]
        assert listed[-1] == "2 entries were displayed."
        shown = await typed(stack, f"{SHOW} -vserver vs1 -context-id {contexts[0]}")
        fields = dict(line.strip().split(": ") for line in shown.splitlines())
        copy = fields.pop("Snapshot Copy Name")
        assert copy in {"snapshot_for_backup.0", "snapshot_for_backup.1"}
        assert fields == {
            "Vserver": "vs1",
            "Context Identifier": contexts[0],
            "Volume Name": "/vs1/vol1",
            "Is Cleanup Pending?": "false",
            "Backup Engine Type": "dump",
            "Is Snapshot Copy Auto-created?": "true",
            "Dump Path": "/vs1/vol1",
            "Incremental Backup Level ID": "0",
            "Dump Name": "/vs1/vol1",
            "Context Last Updated Time": "1700000000",
            "Has Offset Map?": "true",
            "Offset Verify": "true",
            "Is Context Restartable?": "true",
            "Is Context Busy?": "false",
            "Restart Pass": "4",
            "Status of Backup": "2",
            "State of the Context": "7",
        }
        (row,) = json.loads(await typed(stack, f"{SHOW} --context-id {contexts[0]} --json"))
        assert row["snapshot"] == copy
        assert 0 < row["checkpoint_bytes"] <= 8 << 20
        keeper, volume = stack.kernel.storage.keeper, stack.kernel.storage.volume("/vs1/vol1")
        with pytest.raises(TapekitError, match=f"restartable backup {contexts[0]}"):
            keeper.delete(volume, copy)
        with pytest.raises(OperationRefused, match="no restartable context"):
            await typed(stack, f"{DELETE} -vserver vs2 -context-id {contexts[0]}")
        for left, context in enumerate(reversed(contexts)):
            assert len(stack.kernel.storage.snapshot_names("/vs1/vol1")) == 2 - left
            out = await typed(stack, f"{DELETE} -vserver vs1 -context-id {context}")
            assert out == f"deleted {context}\n"
        assert stack.kernel.storage.snapshot_names("/vs1/vol1") == []
        assert (await typed(stack, SHOW)).splitlines()[-1] == "0 entries were displayed."
        with pytest.raises(OperationRefused, match="no restartable context"):
            await typed(stack, f"{SHOW} -vserver vs1 -context-id {contexts[0]}")


@pytest.mark.requirement("R191")
@pytest.mark.requirement("R243")
@pytest.mark.requirement("R244")
@pytest.mark.requirement("R245")
async def test_a_client_aborts_a_backup_and_reads_its_rest_from_the_next_server(
    tmp_path: Path,
) -> None:
    directory, window = tmp_path / "site", 8 << 20
    async with running(directory) as stack:
        fill(stack.volume)
        context = await interrupted(stack, window)
    async with running(directory, again=True) as stack:
        storage = stack.kernel.storage
        assert storage.snapshot_names("/vs1/vol1") == ["snapshot_for_backup.0"]
        async with session(stack) as client:
            again = (
                ("RESTART_CONTEXT", context),
                ("RESTART_OFFSET", str(window)),
            )
            plan = BackupPlan(
                tape=TapeAt("nrst1a"), environment=(*ASKED, *again), record_size=RECORD
            )
            result = await back_up(client, plan)
        environment = dict(result.environment)
        assert environment["RESTART_POSITION"] == str(window)
        end = int(environment["ACL_START"])
        assert window + result.bytes_moved >= end
        assert storage.snapshot_names("/vs1/vol1") == []


async def test_variables_of_restarts_are_refused_in_a_session_without_the_class(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "site") as stack, stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        with pytest.raises(NdmpReplyError) as caught:
            await begin(client, RECORD, ("RESTARTABLE", "Y"))
        assert caught.value.code == NdmpError.ILLEGAL_ARGS_ERR
        assert "belongs to the extension SNAPEXT" in told[-1].entry


async def test_without_the_plugin_nothing_is_restartable(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory)) as stack, stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        assert await choose_extensions(client, CLASS) == {}
        with pytest.raises(NdmpReplyError) as caught:
            await begin(client, RECORD, ("RESTARTABLE", "Y"))
        assert caught.value.code == NdmpError.ILLEGAL_ARGS_ERR
        assert "RESTARTABLE=Y" in told[-1].entry


async def entries_of(client: NdmpClient, path: str) -> list[s.SnapEntry]:
    """All of a directory, in as many batches as it takes."""
    found: list[s.SnapEntry] = []
    cookie = 0
    while True:
        request = s.SnapDirListRequest(pathname=path, cookie=cookie, most=0)
        reply = await client.call(request)
        assert len(reply.entries) <= 7
        found += reply.entries
        cookie = reply.cookie
        if not cookie:
            return found


@pytest.mark.requirement("R190")
async def test_snapshot_copies_are_browsed_in_batches_and_anew_after_a_restart(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "site"
    async with running(directory) as stack:
        fill(stack.volume)
        storage = stack.kernel.storage
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        async with session(stack) as client:
            (copy,) = await entries_of(client, "/vs1/vol1")
            assert copy.name == "monday"
            assert copy.file_type == FileType.DIR
            (stack.volume / "small0").unlink()
            top = "/vs1/vol1/.snapshot/monday"
            found = {entry.name: entry for entry in await entries_of(client, top)}
            assert found.keys() - {"small0"} == {path.name for path in stack.volume.iterdir()}
            assert found["small0"].size == 200_000
            assert found["small0"].file_type == FileType.REG
            request = s.SnapDirListRequest(pathname=top, cookie=0, most=3)
            half_way = await client.call(request)
            assert [entry.name for entry in half_way.entries] == sorted(found)[:3]
            for path in ("/vs1/vol1/small1", "/vs1/vol1/.snapshot/friday", "vs1", "/vs1/../etc"):
                nowhere = s.SnapDirListRequest(pathname=path, cookie=0, most=0)
                assert await refused(client, nowhere) == SnapError.INVALID_PATH_ERR
    async with running(directory, again=True) as stack, session(stack) as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        stale = s.SnapDirListRequest(pathname=top, cookie=half_way.cookie, most=3)
        assert await refused(client, stale) == SnapError.INVALID_PATH_ERR
        assert "browsed from its beginning" in told[-1].entry
        assert len(await entries_of(client, top)) == len(found)


async def test_a_session_reads_a_directory_once_for_all_of_its_batches(tmp_path: Path) -> None:
    async with running(tmp_path / "site") as stack:
        fill(stack.volume)
        storage = stack.kernel.storage
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        top = "/vs1/vol1/.snapshot/monday"
        async with session(stack) as client:
            names = [entry.name for entry in await entries_of(client, top)]
            first = await client.call(s.SnapDirListRequest(pathname=top, cookie=0, most=1))
            # Read again, the directory would begin with this.
            (stack.volume.with_name("vol1.snapshots") / "monday" / "!").touch()
            request = s.SnapDirListRequest(pathname=top, cookie=first.cookie, most=1)
            second = await client.call(request)
            assert [entry.name for entry in second.entries] == names[1:2]


@pytest.mark.requirement("R189")
async def test_a_volume_and_a_file_come_back_from_a_snapshot_copy(tmp_path: Path) -> None:
    async with running(tmp_path / "site") as stack:
        fill(stack.volume)
        storage = stack.kernel.storage
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        top = "/vs1/vol1/.snapshot/monday"
        original = (stack.volume / "small0").read_bytes()
        (stack.volume / "small0").write_bytes(b"spoilt")
        async with session(stack) as client:
            for source, destination in (
                (f"{top}/small0", "/vs1/vol1/again"),
                (top, "/vs1/vol1/all"),
            ):
                await client.call(s.SnapRecoverRequest(source=source, destination=destination))
                with trio.fail_after(60):
                    post = await client.wait_for(s.NotifySnapRecoverEndPost)
                assert post == s.NotifySnapRecoverEndPost(error=0, source=source)
            assert (stack.volume / "again").read_bytes() == original
            assert (stack.volume / "small0").read_bytes() == b"spoilt"
            for source in (f"{top}/none", f"{top}/{next_directory(stack.volume)}", "/vs1/vol1"):
                request = s.SnapRecoverRequest(source=source, destination="/vs1/vol1/x")
                assert await refused(client, request) == SnapError.INVALID_PATH_ERR
        found = compare_trees(
            stack.volume / ".." / "vol1.snapshots" / "monday", stack.volume / "all"
        )
        assert [str(each) for each in found if each.path != "."] == []


@pytest.mark.parametrize(
    "name", ["x" * 300, "nul\0", "\udcff"], ids=["too long", "nul", "no UTF-8"]
)
async def test_names_that_no_file_can_have_end_no_session(tmp_path: Path, name: str) -> None:
    async with running(tmp_path / "site") as stack:
        (stack.volume / "file").write_text("content")
        storage = stack.kernel.storage
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        top = "/vs1/vol1/.snapshot/monday"
        async with session(stack) as client:
            listing = s.SnapDirListRequest(pathname=f"{top}/{name}", cookie=0, most=0)
            assert await refused(client, listing)
            for source in (f"{top}/{name}", f"{top}/file/{name}"):
                request = s.SnapRecoverRequest(source=source, destination="/vs1/vol1/x")
                assert await refused(client, request)
            request = s.SnapRecoverRequest(source=f"{top}/file", destination="/vs1/vol1/y")
            await client.call(request)
            with trio.fail_after(60):
                assert (await client.wait_for(s.NotifySnapRecoverEndPost)).error == 0
            assert len(await entries_of(client, top)) == 1


async def test_copies_of_another_svm_are_neither_seen_nor_recovered_nor_written(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        (directory / "other").mkdir(parents=True)
        (directory / "other" / "salaries").write_text("secret")
        text = with_snapext(text).replace('{ name = "ndmp",', '{ name = "ndmp", svms = ["vs1"],')
        volume = 'path = "/vs2/vol1"\ndirectory = "other"\nsnapshots = "copy"\n'
        return f"{text}\n[[volumes.volume]]\n{volume}"

    async with serving(directory, new_site(directory, edit)) as stack:
        (stack.volume / "mine").write_text("mine")
        storage = stack.kernel.storage
        for volume in ("/vs1/vol1", "/vs2/vol1"):
            storage.keeper.create(storage.volume(volume), "monday")
        own, other = "/vs1/vol1/.snapshot/monday", "/vs2/vol1/.snapshot/monday"
        async with session(stack) as client:
            for path in ("/vs2/vol1", "/./vs2//vol1", other, "/vs2/none", f"{other}/none"):
                listing = s.SnapDirListRequest(pathname=path, cookie=0, most=0)
                assert await refused(client, listing) == NdmpError.PERMISSION_ERR
            for source, destination in (
                (other, "/vs1/vol1/a"),
                (f"{other}/salaries", "/vs1/vol1/a"),
                # Whether something is there is not told either.
                (f"{other}/none", "/vs1/vol1/a"),
                ("/vs2/vol1/.snapshot/none/salaries", "/vs1/vol1/a"),
                (own, "/vs2/vol1/a"),
                (own, "/vs2/vol1"),
                (f"{own}/mine", "/vs2/vol1/a"),
                (f"{own}/mine", "/./vs2/vol1/a"),
            ):
                request = s.SnapRecoverRequest(source=source, destination=destination)
                assert await refused(client, request) == NdmpError.PERMISSION_ERR, request
            for destination in ("", "a", "/", f"{own}/a", "/vs1/vol1/../../vs2/vol1/a"):
                request = s.SnapRecoverRequest(source=f"{own}/mine", destination=destination)
                await refused(client, request)
        assert [path.name for path in (directory / "other").iterdir()] == ["salaries"]
        assert [path.name for path in stack.volume.iterdir()] == ["mine"]


def next_directory(volume: Path) -> str:
    return min(path.name for path in volume.iterdir() if path.is_dir())


async def test_published_messages_without_a_handler_are_not_supported(tmp_path: Path) -> None:
    async with running(tmp_path / "site") as stack, session(stack) as client:
        request = s.SnapCreateRequest(pathname="/vs1/vol1", snapname="tuesday")
        assert await refused(client, request) == NdmpError.NOT_SUPPORTED_ERR


async def test_a_stack_that_stops_waits_for_a_recovery(tmp_path: Path) -> None:
    async with running(tmp_path / "site") as stack:
        (stack.volume / "large").write_bytes(bytes(1 << 20) * 32)
        storage = stack.kernel.storage
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        source = "/vs1/vol1/.snapshot/monday/large"
        async with session(stack) as client:
            await client.call(s.SnapRecoverRequest(source=source, destination="/vs1/vol1/again"))
            await stack.hurry()
            with trio.fail_after(60):
                post = await client.wait_for(s.NotifySnapRecoverEndPost)
            assert post == s.NotifySnapRecoverEndPost(error=0, source=source)
        assert (stack.volume / "again").read_bytes() == (stack.volume / "large").read_bytes()
