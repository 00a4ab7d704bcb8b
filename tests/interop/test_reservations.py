"""Two servers at one virtual library, in processes of their own, one of which is killed."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from running_stack import Stack, make_stack
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    MoverHaltReason,
    MoverMode,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

RECORD = b"acknowledged".ljust(1024)
TAKE_OVER = {
    "scsi": "storage tape reset -name st0 --advanced",
    "persistent": "storage tape reservation clear -name st0 --advanced",
}


@pytest.fixture(params=["scsi", "persistent"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(tmp_path: Path, method: str) -> Iterator[tuple[Stack, Stack]]:
    """Two servers that reserve by the same method; they share the first one's library."""
    first, second = (make_stack(tmp_path / name) for name in ("first", "second"))
    for stack in (first, second):
        stack.edit(r"^plugins = \[", 'plugins = [\n    "reservations",')
        stack.edit(r"^(directory = )\"vtape\"", rf'\1"{first.directory / "vtape"}"')
        stack.file.write_text(f'{stack.file.read_text()}\n[reservations]\nmethod = "{method}"\n')
        stack.start()
    try:
        yield first, second
    finally:
        for stack in (first, second):
            if stack.server is not None:
                assert stack.stop() == 0, stack.log.read_text()


@asynccontextmanager
async def session(stack: Stack) -> AsyncIterator[NdmpClient]:
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        yield client


async def opened(client: NdmpClient) -> None:
    await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))


async def refused(stack: Stack) -> str:
    """What a client is told that finds the drive reserved."""
    told: list[m.LogMessagePost] = []
    async with session(stack) as client:
        client.on_post(m.LogMessagePost, told.append)
        with pytest.raises(NdmpReplyError) as caught:
            await opened(client)
        assert caught.value.code == NdmpError.DEVICE_BUSY_ERR
    return told[-1].entry


async def killed_with_the_drive(stack: Stack) -> None:
    """A server ends while a session of its own has the drive."""
    async with session(stack) as client:
        await opened(client)
        stack.kill()
        with pytest.raises(ConnectionLost):
            await client.call(m.TapeGetStateRequest())


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with trio.fail_after(60):
            await test()

    trio.run(limited)


def typed(stack: Stack, line: str) -> Callable[[], Awaitable[str]]:
    arguments = (*line.split(), "--stack", str(stack.file))
    return lambda: trio.to_thread.run_sync(lambda: stack.tapekit(*arguments))


@pytest.mark.requirement("R029")
@pytest.mark.requirement("R312")
def test_the_reservation_of_a_killed_server_is_taken_over(
    pair: tuple[Stack, Stack], method: str
) -> None:
    first, second = pair

    async def contend() -> None:
        async with session(first) as client:
            await opened(client)
            await client.call(m.TapeWriteRequest(data_out=RECORD))
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.EOF, count=1))
            text = await refused(second)
            assert text.startswith("Tape reservation preempted: v.0 is reserved by another system")

    async def crash() -> None:
        await killed_with_the_drive(first)

    async def take_over() -> None:
        await refused(second)
        await typed(second, TAKE_OVER[method])()
        async with session(second) as client:
            await opened(client)
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.REW, count=1))
            reply = await client.call(m.TapeReadRequest(count=len(RECORD)))
            assert reply.data_in == RECORD

    run(contend)
    run(crash)
    run(take_over)
    first.start()

    async def come_back() -> None:
        async with session(first) as client:
            await opened(client)

    run(come_back)


@pytest.mark.requirement("R032")
def test_a_server_that_was_killed_has_its_drive_again(
    pair: tuple[Stack, Stack],
) -> None:
    first, second = pair

    async def restart() -> None:
        await killed_with_the_drive(first)
        await refused(second)
        first.start()
        async with session(first) as client:
            await opened(client)
        async with session(second) as client:
            await opened(client)

    run(restart)


@pytest.mark.requirement("R028")
@pytest.mark.parametrize("method", ["scsi"], indirect=True)
def test_the_method_is_chosen_while_the_server_runs(pair: tuple[Stack, Stack]) -> None:
    first, _ = pair
    line = "options -option-name tape.reservations -option-value off"
    shown = first.tapekit(*line.split(), "--stack", str(first.file))
    assert shown.splitlines()[1].split()[:2] == ["tape.reservations", "off"]
    assert first.stop() == 0
    first.start()
    shown = first.tapekit("options", "tape.reservations", "--stack", str(first.file))
    assert shown.splitlines()[1].split()[:2] == ["tape.reservations", "off"]


@pytest.mark.requirement("R312")
@pytest.mark.parametrize("method", ["persistent"], indirect=True)
def test_a_backup_whose_drive_is_taken_away_stops_where_it_stands(
    pair: tuple[Stack, Stack],
) -> None:
    first, second = pair
    (first.volume / "large").write_bytes(os.urandom(4 << 20))
    written, size = 10 * 10240, 10240
    told: list[m.LogMessagePost] = []

    async def lose_the_drive() -> None:
        async with session(first) as client:
            client.on_post(m.LogMessagePost, told.append)
            await client.call(m.MoverSetRecordSizeRequest(len=size))
            await opened(client)
            await client.call(m.MoverSetWindowRequest(offset=0, length=written))
            await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
            await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
            environment = (Pair("FILESYSTEM", "/vs1/vol1"),)
            await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
            await client.wait_for(m.NotifyMoverPausedPost)
            await typed(second, TAKE_OVER["persistent"])()
            await client.call(m.MoverSetWindowRequest(offset=written, length=UNLIMITED))
            await client.call(m.MoverContinueRequest())
            halted = await client.wait_for(m.NotifyMoverHaltedPost)
            assert halted.reason == MoverHaltReason.MEDIA_ERROR

    async def read_what_was_acknowledged() -> None:
        async with session(second) as client:
            await opened(client)
            await client.call(m.TapeMtioRequest(tape_op=MtioOp.REW, count=1))
            for _ in range(written // size):
                reply = await client.call(m.TapeReadRequest(count=size))
                assert len(reply.data_in) == size
            with pytest.raises(NdmpReplyError) as ended:
                await client.call(m.TapeReadRequest(count=size))
            assert ended.value.code == NdmpError.EOM_ERR

    run(lose_the_drive)
    assert any(post.entry.startswith("Tape reservation preempted [") for post in told)
    run(read_what_was_acknowledged)
