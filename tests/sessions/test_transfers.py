"""Backups and restores through a whole stack, and everything that cuts them short."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    BackupResult,
    Connecting,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    Watch,
    back_up,
    recover,
)
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    AddrType,
    DataHaltReason,
    DataState,
    MoverHaltReason,
    MoverMode,
    MoverPauseReason,
    MoverState,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from session_stack import ServedStack

VOLUME = "/vs1/vol1"


def plan(**changes: Any) -> BackupPlan:
    options: dict[str, Any] = {
        "tape": TapeAt("nrst0a"),
        "environment": (("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y")),
        "record_size": 10240,
    }
    return BackupPlan(**options | changes)


def everything_to(path: str, backup: BackupResult, **changes: Any) -> RecoverPlan:
    return RecoverPlan(
        parts=backup.parts,
        environment=backup.environment,
        names=(m.Name(original_path="", destination_path=path),),
        **{"record_size": 10240} | changes,
    )


def differences(stack: ServedStack, kept: Path) -> list[str]:
    """Compare the volume with what was restored into its directory ``back``."""
    (stack.volume / "back").rename(kept)
    return [str(each) for each in compare_trees(stack.volume, kept) if each.path != "."]


def small_tree(stack: ServedStack) -> None:
    make_tree(stack.volume, files=60, seed=3, wide=40, deep=5, far=1 << 20)


@pytest.mark.requirement("R003")
@pytest.mark.requirement("R004")
@pytest.mark.requirement("R167")
@pytest.mark.parametrize("data_listens", [False, True], ids=["mover listens", "data listens"])
async def test_a_local_backup_comes_back_equal(
    stack: ServedStack, tmp_path: Path, data_listens: bool
) -> None:
    small_tree(stack)
    connecting = Connecting(data_listens=data_listens)
    async with stack.client() as client:
        backup = await back_up(client, plan(connecting=connecting))
        await recover(client, everything_to(f"{VOLUME}/back", backup, connecting=connecting))
    assert differences(stack, tmp_path / "kept") == []


@pytest.mark.requirement("R168")
@pytest.mark.parametrize("data_listens", [False, True], ids=["mover listens", "data listens"])
async def test_a_three_way_backup_comes_back_equal(
    stack: ServedStack, tmp_path: Path, data_listens: bool
) -> None:
    small_tree(stack)
    connecting = Connecting(data_listens=data_listens)
    async with stack.client() as data, stack.client() as tape:
        backup = await back_up(data, plan(connecting=connecting), tape=tape)
        await recover(
            data, everything_to(f"{VOLUME}/back", backup, connecting=connecting), tape=tape
        )
    assert differences(stack, tmp_path / "kept") == []


@pytest.mark.requirement("R113")
async def test_file_history_names_every_object(stack: ServedStack) -> None:
    small_tree(stack)
    posts: list[Any] = []
    async with stack.client() as client:
        await back_up(client, plan(), watch=Watch(on_post=posts.append))
    directories = [each for post in posts if isinstance(post, m.FhAddDirPost) for each in post.dirs]
    nodes = {
        each.node for post in posts if isinstance(post, m.FhAddNodePost) for each in post.nodes
    }
    names = {os.fsencode(each.names[0].unix_name) for each in directories}
    present = {
        os.fsencode(name) for _, *lists in os.walk(stack.volume) for part in lists for name in part
    }
    assert names - {b".", b".."} == present
    assert {each.node for each in directories} == nodes
    assert (directories[0].names[0].unix_name, directories[1].names[0].unix_name) == (".", "..")
    assert directories[0].node == directories[1].parent


@pytest.mark.requirement("R009")
@pytest.mark.requirement("R121")
@pytest.mark.requirement("R124")
async def test_part_of_a_volume_is_backed_up_and_selected_files_come_back(
    stack: ServedStack,
) -> None:
    small_tree(stack)
    async with stack.client() as client:
        environment = (("FILESYSTEM", f"{VOLUME}/plain"), ("HIST", "N"))
        backup = await back_up(client, plan(environment=environment))
        assert dict(backup.environment)["FILESYSTEM"] == f"{VOLUME}/plain"
        wanted = min(path for path in (stack.volume / "plain").rglob("*") if path.is_file())
        inside = wanted.relative_to(stack.volume / "plain").as_posix()
        results: list[Any] = []
        names = (
            m.Name(original_path=f"/{inside}", destination_path=f"{VOLUME}/one/file"),
            m.Name(original_path="not/there", destination_path=f"{VOLUME}/one/none"),
        )
        restore = RecoverPlan(
            parts=backup.parts,
            environment=(*backup.environment, ("EXTRACT", "E")),
            names=names,
            record_size=10240,
        )
        await recover(client, restore, watch=Watch(on_post=results.append))
    assert (stack.volume / "one" / "file").read_bytes() == wanted.read_bytes()
    assert not (stack.volume / "one" / "none").exists()
    told = [each.recovery_status for each in results if isinstance(each, m.LogFilePost)]
    assert sorted(told) == [0, 2]


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ((("FILESYSTEM", "/vs1/none"),), "/vs1/none"),
        ((("FILESYSTEM", "/vs1/vol1/../.."),), ".."),
        ((("HIST", "Y"),), "FILESYSTEM"),
        ((("FILESYSTEM", VOLUME), ("LEVEL", "many")), "LEVEL=many"),
        ((("FILESYSTEM", VOLUME), ("UPDATE", "perhaps")), "UPDATE=perhaps"),
    ],
    ids=["volume", "path", "missing", "level", "switch"],
)
async def test_a_bad_variable_is_refused_by_name_before_any_data_moves(
    stack: ServedStack, environment: Any, text: str
) -> None:
    told: list[Any] = []
    async with stack.client() as client:
        with pytest.raises(NdmpReplyError):
            await back_up(client, plan(environment=environment), watch=Watch(on_post=told.append))
        assert any(text in each.entry for each in told if isinstance(each, m.LogMessagePost))
        assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE


@asynccontextmanager
async def stuck_backup(client: NdmpClient) -> AsyncIterator[None]:
    """A backup over TCP whose other end nobody reads."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        address = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=port, addr_env=()),))
        await client.call(m.DataConnectRequest(addr=address))
        environment = (Pair("FILESYSTEM", VOLUME),)
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        yield


def fill(stack: ServedStack) -> None:
    for number in range(4):
        (stack.volume / f"large-{number}").write_bytes(bytes(range(256)) * 65536)


def left_over(stack: ServedStack, before: set[str]) -> list[str]:
    """What a session holds: drives, Snapshot copies, descriptors."""
    inventory = stack.kernel.tape_inventory
    method = stack.kernel.snapshot_methods["copy"]
    snapshots = stack.volume.with_name(stack.volume.name + ".snapshots")
    assert inventory is not None
    held = [f"drive of {row.holder}" for row in inventory.drives() if row.holder is not None]
    if snapshots.is_dir():
        held += [f"Snapshot copy {name}" for name in method.names(snapshots)]
    return held + sorted(descriptors() - before)


def descriptors() -> set[str]:
    """What the process has open, but for the store, which opens files when
    it needs them.
    """
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{each.name}: {each.readlink()}")
    return {each for each in found if "/state/" not in each}


async def until_nothing_is_left(stack: ServedStack, before: set[str]) -> None:
    with trio.move_on_after(60):
        while left_over(stack, before):
            await trio.lowlevel.checkpoint()
    assert left_over(stack, before) == []


async def test_an_abort_halts_at_once_and_frees_everything(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client:
        before = descriptors()
        async with stuck_backup(client):
            await client.call(m.DataAbortRequest())
            state = await client.call(m.DataGetStateRequest())
            assert (state.state, state.halt_reason) == (DataState.HALTED, DataHaltReason.ABORTED)
            await client.call(m.DataStopRequest())
            assert (await client.call(m.DataGetStateRequest())).state == DataState.IDLE
        await until_nothing_is_left(stack, before)


async def test_a_vanished_client_leaves_nothing_behind(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client():
        pass
    before = descriptors()
    async with stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        async with stuck_backup(client):
            await client.close(0)
    await until_nothing_is_left(stack, before)


async def test_get_state_is_answered_while_data_moves(stack: ServedStack) -> None:
    fill(stack)
    async with stack.client() as client, stuck_backup(client):
        with trio.fail_after(60):
            while (await client.call(m.DataGetStateRequest())).bytes_processed == 0:
                await trio.lowlevel.checkpoint()
        state = await client.call(m.DataGetStateRequest())
        assert state.state == DataState.ACTIVE


@pytest.mark.requirement("R327")
async def test_a_backup_whose_tape_server_breaks_off_says_so(stack: ServedStack) -> None:
    fill(stack)
    told: list[m.LogMessagePost] = []
    async with stack.client() as data, stack.client() as tape:
        data.on_post(m.LogMessagePost, told.append)
        await tape.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        listening = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        address = (await tape.call(listening)).connect_addr
        await data.call(m.DataConnectRequest(addr=address))
        environment = (Pair("FILESYSTEM", VOLUME),)
        await data.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        await tape.call(m.MoverAbortRequest())
        halted = await data.wait_for(m.NotifyDataHaltedPost)
        assert halted.reason == DataHaltReason.CONNECT_ERROR
        assert any("Network communication error" in each.entry for each in told)


@pytest.mark.requirement("R117")
async def test_data_connections_use_the_address_of_the_control_connection(
    stack: ServedStack,
) -> None:
    async with stack.client() as client:
        reply = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        assert isinstance(reply.connect_addr, m.TcpAddrs)
        assert [each.ip for each in reply.connect_addr.tcp_addr] == [0x7F00_0001]


async def test_a_mover_whose_peer_breaks_off_halts_with_connect_error(stack: ServedStack) -> None:
    async with stack.client() as client:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        reply = await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP))
        assert isinstance(reply.connect_addr, m.TcpAddrs)
        peer = await trio.open_tcp_stream("127.0.0.1", reply.connect_addr.tcp_addr[0].port)
        await peer.send_all(bytes(100))
        await peer.aclose()
        halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason == MoverHaltReason.CONNECT_CLOSED
        state = await client.call(m.MoverGetStateRequest())
        assert (state.state, state.bytes_moved) == (MoverState.HALTED, 10240)
        await client.call(m.MoverStopRequest())


def make_small_cartridges(stack_file: Path) -> None:
    """Three cartridges of 8 MiB; the first one goes into drive 0."""
    for command in (
        *(
            (
                "create",
                f"SMALL{number}",
                "--capacity-bytes",
                str(8 << 20),
                "--early-warning-bytes",
                str(1 << 20),
            )
            for number in range(3)
        ),
        ("unload", "0"),
        ("load", "0", "SMALL0"),
    ):
        tapekit("vtape", *command, stack_file)


def tapekit(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "tapekit", *map(str, arguments)], check=True)


@pytest.mark.requirement("R011")
@pytest.mark.parametrize("record_size", [10240, 65536])
async def test_a_full_tape_pauses_and_goes_on_where_it_stopped(
    tmp_path: Path, record_size: int
) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, lambda text: text.replace("slots = 8", "slots = 12"))
    file = directory / "tapekit.toml"
    make_small_cartridges(file)
    async with serving(directory, kernel) as stack:
        (stack.volume / "large").write_bytes(os.urandom(20 << 20))

        async def change_to(number: int) -> TapeAt:
            for command in (("unload", "0"), ("load", "0", f"SMALL{number}")):
                await trio.to_thread.run_sync(lambda words=command: tapekit("vtape", *words, file))
            return TapeAt("nrst0a")

        full: list[Any] = []

        async def next_to_write(wanted: Any) -> TapeAt:
            full.append(wanted.reason)
            return await change_to(len(full))

        async def next_to_read(wanted: Any) -> TapeAt:
            return await change_to(offsets.index(wanted.part.offset))

        async with stack.client() as client:
            backup = await back_up(client, plan(record_size=record_size), next_tape=next_to_write)
            assert full == [MoverPauseReason.EOM] * 2
            offsets = [part.offset for part in backup.parts]
            await change_to(0)
            restore = everything_to(f"{VOLUME}/back", backup, record_size=record_size)
            await recover(client, restore, next_tape=next_to_read)
        assert differences(stack, tmp_path / "kept") == []
