"""Replays of three-way sessions, whole or with a stand-in, and of extensions."""

from __future__ import annotations

import json
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from administrator import Outcome, asked, typed
from cluster_stacks import with_cab
from counting_extension import ROWS, CountedPost, CountRequest, counting_site
from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.addresses import to_endpoint
from tapekit_ndmp_v4.client import (
    CAB,
    BackupPlan,
    Connecting,
    PrivateData,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    prepare_data_connection,
    recover,
    tape,
)
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

VOLUME = "/vs1/vol1"
RECORD = 10240
LOOPBACK = 0x7F00_0001


@asynccontextmanager
async def logged(stack: ServedStack) -> AsyncIterator[Path]:
    """All sessions of the block in one file."""
    log = await asked(stack, ops.LOG_START, ops.LogRequest())
    yield stack.directory / "logs" / log.file.rpartition("/")[2]
    await asked(stack, ops.LOG_STOP, ops.LogRequest())


async def replayed(stack: ServedStack, file: Path, options: str = "") -> Outcome:
    secret = stack.directory / "ndmp-password"
    line = f"ndmp replay {file} --port {stack.port} --password-file {secret} --timeout 10 {options}"
    return await typed(stack, line)


async def until_free(stack: ServedStack) -> None:
    """Wait for the sessions of replays that broke off."""
    with trio.fail_after(60):
        while (await asked(stack, ops.SESSIONS, ops.SessionChoice())).sessions:
            await trio.lowlevel.checkpoint()


def both_of(file: Path) -> str:
    return f"--session 1 --peer {file} --peer-session 2"


def fill(stack: ServedStack) -> None:
    (stack.volume / "large").write_bytes(bytes(range(256)) * 12_000)


# Both sides played.


@pytest.mark.parametrize("data_listens", [False, True], ids=["mover listens", "data listens"])
@pytest.mark.parametrize("private", [PrivateData.NO, PrivateData.REQUIRED], ids=lambda p: p.value)
async def test_both_sides_of_a_three_way_session_are_played_in_step(
    stack: ServedStack, private: PrivateData, *, data_listens: bool
) -> None:
    fill(stack)
    connecting = Connecting(data_listens=data_listens, private_data=private)
    plan = BackupPlan(
        tape=TapeAt("nrst0a"),
        environment=(("FILESYSTEM", VOLUME), ("LEVEL", "0"), ("HIST", "Y")),
        record_size=RECORD,
        connecting=connecting,
    )
    async with logged(stack) as file, stack.client() as data, stack.client() as mover:
        backup = await back_up(data, plan, tape=mover)
        names = (m.Name(original_path="", destination_path=f"{VOLUME}/back"),)
        restore = RecoverPlan(
            parts=backup.parts,
            environment=backup.environment,
            names=names,
            record_size=RECORD,
            connecting=connecting,
        )
        await recover(data, restore, tape=mover)
    shutil.rmtree(stack.volume / "back")
    outcome = await replayed(stack, file, both_of(file))
    assert outcome.out.endswith("answers as recorded\n"), outcome.out
    assert (stack.volume / "back" / "large").read_bytes() == (stack.volume / "large").read_bytes()


async def test_a_difference_of_either_side_is_told_with_its_trace(stack: ServedStack) -> None:
    file = await with_mover(stack, b"image" * RECORD)
    other = file.with_name("other.jsonl")
    shutil.copy(file, other)
    text = other.read_text()
    other.write_text(text.replace('"reason":"CONNECT_CLOSED"', '"reason":"MEDIA_ERROR"'))
    line = f"--session 2 --peer {other} --peer-session 1 --stream {other}"
    outcome = await replayed(stack, file, line)
    assert outcome.status == 1
    assert f"{other}: line " in outcome.out
    assert "reason: recorded MEDIA_ERROR, replayed CONNECT_CLOSED" in outcome.out


# One side played, with a stand-in for the other.


async def with_mover(stack: ServedStack, stream: bytes) -> Path:
    """The log of a mover that listens and has a stream sent to it (session
    1), and of a session that does nothing.
    """
    async with logged(stack) as file, stack.client() as client, stack.client():
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
        listening = await client.call(
            m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        )
        endpoint = to_endpoint(listening.connect_addr)
        assert endpoint is not None
        async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as connection:
            await connection.send_all(stream)
        halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert halted.reason is MoverHaltReason.CONNECT_CLOSED
        assert (await client.call(m.MoverGetStateRequest())).bytes_moved >= len(stream)
        await client.call(m.MoverStopRequest())
        await tape.write_filemarks(client, 1)
        await tape.close(client)
    return file


async def test_a_stand_in_sends_a_mover_its_stream(stack: ServedStack, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    file = await with_mover(stack, data)
    with pytest.raises(TapekitError, match=r"a stand-in .* has nothing to send"):
        await replayed(stack, file, "--session 1")
    await until_free(stack)
    stream = tmp_path / "stream"
    with pytest.raises(TapekitError, match="the stream cannot be read: No such file"):
        await replayed(stack, file, f"--session 1 --stream {stream}")
    stream.write_bytes(data)
    outcome = await replayed(stack, file, f"--session 1 --stream {stream}")
    assert outcome.out.endswith("answers as recorded\n"), outcome.out
    await until_free(stack)
    stream.write_bytes(data[: 5 * RECORD])
    outcome = await replayed(stack, file, f"--session 1 --stream {stream}")
    assert "MOVER_GET_STATE: record_num: recorded 10, replayed 5" in outcome.out


async def image_of(client: NdmpClient) -> bytes:
    """A dump that the data server sends to a listener of the client."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        addr = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=LOOPBACK, port=port, addr_env=()),))
        await client.call(m.DataConnectRequest(addr=addr))
        environment = (Pair("FILESYSTEM", VOLUME), Pair("HIST", "Y"))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        async with await listener.accept() as connection:
            image = b"".join([part async for part in connection])
    await stopped(client)
    return image


async def stopped(client: NdmpClient) -> None:
    halted = await client.wait_for(m.NotifyDataHaltedPost)
    assert halted.reason is DataHaltReason.SUCCESSFUL
    await client.call(m.DataStopRequest())


async def restore_from(client: NdmpClient, image: bytes) -> None:
    """A restore by a data server that listens, in the ranges that it asks for."""
    listening = await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
    endpoint = to_endpoint(listening.connect_addr)
    assert endpoint is not None
    async with await trio.open_tcp_stream(endpoint.host, endpoint.port) as connection:
        while (await client.call(m.DataGetStateRequest())).state == 1:
            await trio.lowlevel.checkpoint()
        name = m.Name(original_path="", destination_path=f"{VOLUME}/back")
        environment = (Pair("FILESYSTEM", VOLUME),)
        await client.call(
            m.DataStartRecoverRequest(env=environment, nlist=(name,), butype_name="dump")
        )
        asked_for = await client.wait_for(m.NotifyDataReadPost)
        assert (asked_for.offset, asked_for.length) == (0, UNLIMITED)
        await connection.send_all(image)
        await connection.send_eof()
        await stopped(client)


async def test_a_stand_in_takes_and_gives_the_stream_of_a_data_server(
    stack: ServedStack, tmp_path: Path
) -> None:
    fill(stack)
    async with logged(stack) as file, stack.client() as client:
        image = await image_of(client)
        await restore_from(client, image)
    shutil.rmtree(stack.volume / "back")
    with pytest.raises(TapekitError, match="has nothing to send"):
        await replayed(stack, file)
    await until_free(stack)
    stream = tmp_path / "image"
    stream.write_bytes(image)
    outcome = await replayed(stack, file, f"--stream {stream}")
    assert outcome.out.endswith("answers as recorded\n"), outcome.out
    assert (stack.volume / "back" / "large").read_bytes() == (stack.volume / "large").read_bytes()
    stream.write_bytes(image[: len(image) // 2])
    outcome = await replayed(stack, file, f"--stream {stream}")
    assert outcome.status == 1


async def test_nobody_connects_where_nobody_had(stack: ServedStack) -> None:
    async with logged(stack) as file, stack.client() as client:
        await client.call(m.DataListenRequest(addr_type=AddrType.TCP))
        await client.call(m.DataGetStateRequest())
        await client.call(m.DataAbortRequest())
        await client.wait_for(m.NotifyDataHaltedPost)
        await client.call(m.DataStopRequest())
    assert (await replayed(stack, file)).out.endswith("answers as recorded\n")


async def test_a_private_data_connection_has_no_stand_in(stack: ServedStack) -> None:
    fill(stack)
    plan = BackupPlan(
        tape=TapeAt("nrst0a"),
        environment=(("FILESYSTEM", VOLUME),),
        record_size=RECORD,
        connecting=Connecting(private_data=PrivateData.REQUIRED),
    )
    async with logged(stack) as file, stack.client() as data, stack.client() as mover:
        await back_up(data, plan, tape=mover)
    with pytest.raises(TapekitError, match=r"DATA_CONNECT cannot be .*--peer"):
        await replayed(stack, file, "--session 1")


# Extensions.


async def test_messages_of_extensions_are_played_and_compared(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, counting_site(directory)) as stack:
        async with logged(stack) as file, stack.client() as client:
            await choose_extensions(client, {0x3333: (1,)}, ROWS)
            for _ in range(2):
                await client.call(CountRequest(what="sheep"))
                await client.wait_for(CountedPost)
        outcome = await replayed(stack, file)
        assert outcome.out.endswith("answers as recorded\n"), outcome.out
        text = file.read_text()
        counts = text.replace('"count":"NOT_SUPPORTED_ERR"', '"count":7')
        assert await difference(stack, file, counts) == (
            "COUNT: count: recorded 7, replayed NOT_SUPPORTED_ERR"
        )
        told = "".join(
            line.replace("sheep", "goats") if '"COUNTED"' in line else line
            for line in text.splitlines(keepends=True)
        )
        assert await difference(stack, file, told) == (
            "COUNTED: what: recorded goats, replayed sheep"
        )


async def test_prepared_data_connections_are_played_and_compared(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    async with serving(directory, new_site(directory, with_cab)) as stack:
        async with logged(stack) as file, stack.client() as client:
            await choose_extensions(client, CAB)
            environment = [("FILESYSTEM", VOLUME)]
            assert await prepare_data_connection(client, AddrType.TCP, "dump", environment)
            listen = m.DataListenRequest(addr_type=AddrType.LOCAL)
            with pytest.raises(NdmpReplyError):
                await client.call(listen)
        assert '"CAB_DATA_CONN_PREPARE"' in file.read_text()
        outcome = await replayed(stack, file)
        assert outcome.out.endswith("answers as recorded\n"), outcome.out


async def difference(stack: ServedStack, file: Path, text: str) -> str:
    changed = file.with_name("changed.jsonl")
    changed.write_text(text)
    outcome = await replayed(stack, changed, "--json")
    assert outcome.status == 1
    found: Any = json.loads(outcome.out)[2]
    _, message, field, recorded, came = found
    return f"{message}: {field}: recorded {recorded}, replayed {came}"


async def test_an_extension_that_the_player_lacks_is_told(
    stack: ServedStack, tmp_path: Path
) -> None:
    directory = tmp_path / "counting"
    async with (
        serving(directory, counting_site(directory)) as counting,
        logged(counting) as file,
        counting.client() as client,
    ):
        await choose_extensions(client, {0x3333: (1,)}, ROWS)
        await client.call(CountRequest(what="sheep"))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    kept = [row for row in lines if "EXT_LIST" not in str(row["message"])]
    file.write_text("".join(json.dumps(row) + "\n" for row in kept))
    with pytest.raises(
        TapekitError, match=r"COUNT cannot be .* an extension that this stack lacks"
    ):
        await replayed(stack, file)
    for row in kept:
        if row["message"] == "COUNT":
            row.update(message=None, body=None)
    file.write_text("".join(json.dumps(row) + "\n" for row in kept))
    with pytest.raises(TapekitError, match="its class of extensions, 0x3333, was not known"):
        await replayed(stack, file)
