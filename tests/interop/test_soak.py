"""As many sessions at once as a large server has, a third of them ending badly.

One server, in a process of its own, serves 36 clients that all back up to
drives of their own and restore from them. Every third client runs into a
fault. The others must not notice, and afterwards the server must have let
go of everything: descriptors, threads, locks, drives and Snapshot copies.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio

from running_stack import Stack, make_stack
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, RecoverPlan, TapeAt, back_up, recover
from tapekit_ndmp_v4.errors import ConnectionLost
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import random_tree
from tapekit_vtape.library import Library
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

SESSIONS: Final = 36
RECORD: Final = 32768
PATIENCE_S: Final = 120.0
LARGE: Final = 12 << 20


def volume(number: int) -> str:
    return f"/vs1/soak{number}"


def directory(stack: Stack, number: int) -> Path:
    return stack.directory / "volumes" / f"soak{number}"


def device(number: int) -> str:
    return f"nrst{number}a"


def is_faulty(number: int) -> bool:
    return number % 3 == 0


def make_large_stack(tmp_path: Path) -> Stack:
    """A library with a drive and a tape for each session, and a volume too."""
    stack = make_stack(tmp_path / "stack")
    stack.edit(r"^drives = 2$", f"drives = {SESSIONS}")
    stack.edit(r"^slots = 8$", f"slots = {2 * SESSIONS}")
    volumes = "".join(
        f'\n[[volumes.volume]]\npath = "{volume(number)}"\n'
        f'directory = "volumes/soak{number}"\nsnapshots = "copy"\n'
        for number in range(SESSIONS)
    )
    with stack.file.open("a") as file:
        limits = ("sessions", "dump_sessions", "local_tape_jobs")
        rows = "".join(f"{limit} = {SESSIONS}\n" for limit in limits)
        file.write(f"{volumes}\n[ndmp_v4]\n{rows}")
    settings = VtapeSettings(drives=SESSIONS, slots=2 * SESSIONS)
    library = Library(stack.directory / settings.directory, settings)
    for drive in (0, 1):
        library.unload(drive)
    for number in range(SESSIONS):
        capacity = 2 << 20 if is_faulty(number) else None
        early_warning = 1 << 20 if is_faulty(number) else None
        library.create_cartridge(f"SOAK{number}", capacity=capacity, early_warning=early_warning)
        library.load(number, f"SOAK{number}")
        directory(stack, number).mkdir()
        random_tree(directory(stack, number), seed=number)
        if is_faulty(number):
            (directory(stack, number) / "large").write_bytes(os.urandom(LARGE))
    return stack


@asynccontextmanager
async def logged_in(stack: Stack) -> AsyncIterator[NdmpClient]:
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        yield client


def plan(number: int) -> BackupPlan:
    return BackupPlan(
        tape=TapeAt(device(number)),
        environment=(("FILESYSTEM", volume(number)), ("HIST", "Y")),
        record_size=RECORD,
    )


async def back_and_forth(client: NdmpClient, number: int) -> None:
    """What every session wants to do."""
    backup = await back_up(client, plan(number))
    names = (m.Name(original_path="", destination_path=f"{volume(number)}/back"),)
    restore = RecoverPlan(
        parts=backup.parts, environment=backup.environment, names=names, record_size=RECORD
    )
    await recover(client, restore)


# Faults.


async def until_paused(client: NdmpClient, number: int) -> None:
    """Begin a backup that stops after one record."""
    await client.call(m.TapeOpenRequest(device=device(number), mode=TapeOpenMode.RDWR))
    await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
    await client.call(m.MoverSetWindowRequest(offset=0, length=RECORD))
    await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
    await start(client, number)
    await client.wait_for(m.NotifyMoverPausedPost)


async def start(client: NdmpClient, number: int) -> None:
    environment = (Pair("FILESYSTEM", volume(number)), Pair("HIST", "Y"))
    await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))


async def control_connection_is_cut(client: NdmpClient, number: int) -> None:
    await until_paused(client, number)
    with suppress(ConnectionLost):
        await client.close(0)


async def control_connection_is_cut_while_data_moves(client: NdmpClient, number: int) -> None:
    await until_paused(client, number)
    await client.call(m.MoverSetWindowRequest(offset=RECORD, length=UNLIMITED))
    await client.call(m.MoverContinueRequest())
    with suppress(ConnectionLost):
        await client.close(0)


async def data_connection_is_cut(client: NdmpClient, number: int) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        address = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=port, addr_env=()),))
        await client.call(m.DataConnectRequest(addr=address))
        stream = await listener.accept()
        await start(client, number)
        await stream.receive_some(RECORD)
        await trio.aclose_forcefully(stream)
    halted = await client.wait_for(m.NotifyDataHaltedPost)
    assert halted.reason == DataHaltReason.CONNECT_ERROR
    await client.call(m.DataStopRequest())


async def operator_aborts(client: NdmpClient, number: int) -> None:
    await until_paused(client, number)
    await client.call(m.DataAbortRequest())
    await client.call(m.MoverAbortRequest())
    assert (await client.wait_for(m.NotifyDataHaltedPost)).reason == DataHaltReason.ABORTED
    assert (await client.wait_for(m.NotifyMoverHaltedPost)).reason == MoverHaltReason.ABORTED
    await client.call(m.DataStopRequest())
    await client.call(m.MoverStopRequest())
    await client.call(m.TapeCloseRequest())


async def tape_is_full(client: NdmpClient, number: int) -> None:
    """The tape warns, and then ends; there is no other one."""
    await until_paused(client, number)
    await client.call(m.MoverSetWindowRequest(offset=RECORD, length=UNLIMITED))
    await client.call(m.MoverContinueRequest())
    for _ in range(2):
        await client.wait_for(m.NotifyMoverPausedPost)
        await client.call(m.MoverContinueRequest())
    halted = await client.wait_for(m.NotifyMoverHaltedPost)
    assert halted.reason == MoverHaltReason.MEDIA_ERROR
    # What the connection could hold has been sent, for all that the engine knows.
    data = await client.wait_for(m.NotifyDataHaltedPost)
    assert data.reason in {DataHaltReason.SUCCESSFUL, DataHaltReason.CONNECT_ERROR}


FAULTS: Final[tuple[Callable[[NdmpClient, int], Awaitable[None]], ...]] = (
    control_connection_is_cut,
    control_connection_is_cut_while_data_moves,
    data_connection_is_cut,
    operator_aborts,
    tape_is_full,
)


# The whole.


async def all_at_once(stack: Stack) -> list[str]:
    """Run all sessions, none before all are logged in; gives what failed."""
    ready = [trio.Event() for _ in range(SESSIONS)]
    failed: list[str] = []

    async def one(number: int) -> None:
        async with logged_in(stack) as client:
            ready[number].set()
            for each in ready:
                await each.wait()
            if is_faulty(number):
                await FAULTS[number // 3 % len(FAULTS)](client, number)
            else:
                await back_and_forth(client, number)

    async def judged(number: int) -> None:
        try:
            await one(number)
        except Exception as error:  # noqa: BLE001 - all are told together
            failed.append(f"session {number}: {error!r}")

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for number in range(SESSIONS):
                nursery.start_soon(judged, number)
    return failed


async def every_drive_is_free(stack: Stack) -> None:
    async with logged_in(stack) as client:
        for number in range(SESSIONS):
            mode = TapeOpenMode.RDWR
            await client.call(m.TapeOpenRequest(device=device(number), mode=mode))
            await client.call(m.TapeCloseRequest())


async def one_backup(stack: Stack) -> None:
    async with logged_in(stack) as client:
        await back_up(client, plan(1))


def held(stack: Stack) -> Counter[str]:
    """What the server's process has: descriptors by what they are, threads, locks."""
    process = Path(f"/proc/{stack.pid}")
    found: Counter[str] = Counter()
    for each in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            found[str(each.readlink()).partition(":[")[0]] += 1
    found["threads"] = len(list((process / "task").iterdir()))
    locks = Path("/proc/locks").read_text().splitlines()
    found["locks"] = sum(f" {stack.pid} " in line for line in locks)
    return found


@pytest.mark.requirement("R207")
@pytest.mark.slow
def test_sessions_that_fail_leave_nothing_and_disturb_nobody(tmp_path: Path) -> None:
    stack = make_large_stack(tmp_path)
    stack.start()
    try:
        threads = held(stack)["threads"]
        trio.run(every_drive_is_free, stack)
        trio.run(one_backup, stack)
        # The store keeps its file open once it has been asked.
        before = held(stack)
        before["threads"] = threads
        assert trio.run(all_at_once, stack) == []
        trio.run(every_drive_is_free, stack)
        assert stack.server is not None
        # Idle worker threads leave after ten seconds.
        end = time.monotonic() + PATIENCE_S
        while (left := held(stack) - before) and time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                stack.server.wait(0.2)
        assert left == Counter()
        for number in range(SESSIONS):
            folder = stack.directory / "volumes" / f"soak{number}.snapshots"
            assert {each.name for each in folder.iterdir()} <= {".locks"}
    finally:
        status = stack.stop()
    assert status == 0
    for number in range(SESSIONS):
        if not is_faulty(number):
            back = tmp_path / f"back{number}"
            (directory(stack, number) / "back").rename(back)
            different = compare_trees(directory(stack, number), back)
            assert [str(each) for each in different if each.path != "."] == []
