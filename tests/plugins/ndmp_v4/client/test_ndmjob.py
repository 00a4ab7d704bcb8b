"""The client against NDMJOB, the reference implementation (Debian: amanda-server)."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from free_ports import free_port

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient, TapeAt, describe, tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    MoverHaltReason,
    MoverMode,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

NDMJOB = Path("/usr/lib/amanda/ndmjob")
USER, PASSWORD = "ndmp", b"ndmp"

pytestmark = pytest.mark.skipif(not NDMJOB.exists(), reason=f"{NDMJOB} is not installed")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port on which NDMJOB serves, until the test ends."""
    configuration = tmp_path / "ndmjob.conf"
    configuration.write_text("")
    number = free_port()
    with subprocess.Popen(
        [NDMJOB, "-o", "test-daemon", "-p", str(number)],
        env={**os.environ, "NDMJOB_CONF": str(configuration)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        yield number
        server.terminate()
        server.communicate()


@asynccontextmanager
async def session(port: int) -> AsyncIterator[NdmpClient]:
    """A session, as soon as the server listens."""
    with trio.fail_after(60):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            await trio.lowlevel.checkpoint()
    async with NdmpClient.connect("127.0.0.1", port, clock=lambda: 0.0) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, USER, PASSWORD)
        yield client


async def test_a_login_by_challenge_opens_everything(port: int) -> None:
    async with session(port) as client:
        told = await describe(client)
        assert told.server is not None
        assert told.server.product_name == "NDMJOB"
        assert set(told.address_types) == {AddrType.LOCAL, AddrType.TCP}
        with pytest.raises(NdmpReplyError) as refused:
            await client.authenticate(AuthType.TEXT, USER, b"wrong")
        assert refused.value.code is NdmpError.NOT_AUTHORIZED_ERR


async def test_records_of_many_fragments_are_read(port: int, tmp_path: Path) -> None:
    medium = tmp_path / "tape"
    medium.touch()
    data = bytes(range(256)) * 128
    async with session(port) as client:
        await tape.open_at(client, TapeAt(str(medium)), TapeOpenMode.RDWR)
        written = await client.call(m.TapeWriteRequest(data_out=data))
        assert written.count == len(data)
        await tape.write_filemarks(client, 1)
        await tape.rewind(client)
        reply = await client.call(m.TapeReadRequest(count=len(data)))
        assert reply.data_in == data
        with pytest.raises(NdmpReplyError) as ended:
            await client.call(m.TapeReadRequest(count=1))
        assert ended.value.code is NdmpError.EOF_ERR
        await tape.move(client, MtioOp.FSF, 1)
        await tape.close(client)


async def test_a_mover_listens_and_is_aborted(port: int, tmp_path: Path) -> None:
    medium = tmp_path / "tape"
    medium.touch()
    async with session(port) as client:
        await client.call(m.MoverSetRecordSizeRequest(len=65536))
        await tape.open_device(client, str(medium), TapeOpenMode.RDWR)
        await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
        request = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        reply = await client.call(request)
        assert isinstance(reply.connect_addr, m.TcpAddrs)
        assert reply.connect_addr.tcp_addr[0].port
        await client.call(m.MoverAbortRequest())
        halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason is MoverHaltReason.ABORTED
        assert (await client.call(m.MoverGetStateRequest())).state is MoverState.HALTED
        await client.call(m.MoverStopRequest())
        await tape.close(client)
