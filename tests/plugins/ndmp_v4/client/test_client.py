"""The client against a peer that follows a script."""

from __future__ import annotations

import functools
import inspect
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import client as client_package
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.digest import challenge_digest
from tapekit_ndmp_v4.errors import ConnectionLost, NdmpReplyError, RemoteProtocolError
from tapekit_ndmp_v4.exchanges import EXCHANGES, refusal
from tapekit_ndmp_v4.numbers import (
    AuthType,
    ConnectionStatusReason,
    DataHaltReason,
    MoverHaltReason,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.records import marked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tapekit_ndmp_v4.connection import NdmpConnection

OK = NdmpError.NO_ERR
CHALLENGE = bytes(range(64))


def status(
    reason: int = ConnectionStatusReason.CONNECTED, version: int = 4, text: str = "hello"
) -> m.NotifyConnectionStatusPost:
    return m.NotifyConnectionStatusPost(reason=reason, protocol_version=version, text_reason=text)


def log(entry: str) -> m.LogMessagePost:
    return m.LogMessagePost(log_type=0, message_id=1, entry=entry)


STOP = m.DataStopRequest()
STOPPED = m.DataStopReply(error=OK)
HALTED = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
PAUSED = m.NotifyMoverPausedPost(reason=1, seek_position=7)


# Opening and logging in.


@pytest.mark.requirement("R001")
async def test_opening_agrees_on_version_4(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.post(status())
    scene.dialogue.expect(m.ConnectOpenRequest(protocol_version=4), m.ConnectOpenReply(error=OK))
    nursery.start_soon(scene.dialogue.run)
    await scene.client.open()
    await scene.client.close()


@pytest.mark.parametrize(
    ("post", "fault"),
    [
        (status(ConnectionStatusReason.REFUSED, text="full"), "server-refused-connection"),
        (status(version=3), "server-lacks-version"),
        (HALTED, "server-does-not-greet"),
    ],
)
async def test_a_server_that_does_not_serve_is_named(
    scene: Any, nursery: trio.Nursery, post: m.Message, fault: str
) -> None:
    scene.dialogue.post(post)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(TapekitError) as refused:
        await scene.client.open()
    assert refused.value.id == f"ndmp_v4.{fault}"
    assert "memory" in str(refused.value)
    await scene.client.close()


def auth(data: m.AuthData) -> m.ConnectClientAuthRequest:
    return m.ConnectClientAuthRequest(auth_data=data)


@pytest.mark.requirement("R171")
async def test_a_challenge_is_answered_without_the_password(
    scene: Any, nursery: trio.Nursery
) -> None:
    digest = challenge_digest(CHALLENGE, b"secret")
    scene.dialogue.expect(
        m.ConfigGetAuthAttrRequest(auth_type=AuthType.MD5),
        m.ConfigGetAuthAttrReply(error=OK, server_attr=m.AuthAttrMd5(challenge=CHALLENGE)),
    )
    scene.dialogue.expect(
        auth(m.AuthMd5(auth_id="ndmp", auth_digest=digest)), m.ConnectClientAuthReply(error=OK)
    )
    nursery.start_soon(scene.dialogue.run)
    await scene.client.authenticate(AuthType.MD5, "ndmp", b"secret")
    await scene.client.close()


async def test_text_and_no_authentication_are_spoken(scene: Any, nursery: trio.Nursery) -> None:
    reply = m.ConnectClientAuthReply(error=OK)
    scene.dialogue.expect(auth(m.AuthText(auth_id="u", auth_password="p\udcff")), reply)
    scene.dialogue.expect(auth(m.AuthNone()), reply)
    nursery.start_soon(scene.dialogue.run)
    await scene.client.authenticate(AuthType.TEXT, "u", b"p\xff")
    await scene.client.authenticate(AuthType.NONE)
    await scene.client.close()


async def test_wrong_credentials_are_refused(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.expect(
        auth(m.AuthNone()), m.ConnectClientAuthReply(error=NdmpError.NOT_AUTHORIZED_ERR)
    )
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError) as refused:
        await scene.client.authenticate(AuthType.NONE)
    assert refused.value.code is NdmpError.NOT_AUTHORIZED_ERR
    assert str(refused.value) == "CONNECT_CLIENT_AUTH was refused: NOT_AUTHORIZED_ERR"
    await scene.client.close()


async def test_a_challenge_that_is_none_is_the_servers_fault(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.expect(
        m.ConfigGetAuthAttrRequest(auth_type=AuthType.MD5),
        m.ConfigGetAuthAttrReply(error=OK, server_attr=m.AuthAttrNone()),
    )
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(RemoteProtocolError, match="AuthAttrNone stands where a challenge belongs"):
        await scene.client.authenticate(AuthType.MD5, "ndmp", b"secret")
    await scene.client.close()


# Requests.


async def test_posts_between_request_and_reply_are_taken_in(
    scene: Any, nursery: trio.Nursery
) -> None:
    told: list[m.LogMessagePost] = []
    scene.client.on_post(m.LogMessagePost, told.append)

    def answer(request: Any) -> bytes:
        wire: NdmpConnection = scene.dialogue.wire
        before = b"".join(map(wire.send_post, [log("a"), HALTED, log("b")]))
        return before + wire.send_reply(request, STOPPED) + wire.send_post(PAUSED)

    scene.dialogue.answer_with(STOP, answer)
    nursery.start_soon(scene.dialogue.run)
    assert await scene.client.call(STOP) == STOPPED
    assert [post.entry for post in told] == ["a", "b"]
    paused = await scene.client.wait_for(m.NotifyMoverPausedPost)
    assert paused.seek_position == 7
    assert await scene.client.wait_for(m.Message) == HALTED
    await scene.client.close()


async def test_an_error_in_the_body_comes_with_the_reply(scene: Any, nursery: trio.Nursery) -> None:
    request = m.TapeReadRequest(count=10)
    reply = m.TapeReadReply(error=NdmpError.EOF_ERR, data_in=b"rest")
    scene.dialogue.expect(request, reply)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError) as refused:
        await scene.client.call(request)
    assert refused.value.code is NdmpError.EOF_ERR
    assert refused.value.reply == reply
    await scene.client.close()


async def test_an_error_in_the_header_comes_without_one(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.refuse_unread(STOP, NdmpError.NOT_SUPPORTED_ERR)
    scene.dialogue.refuse_unread(STOP, 0x2050_0101)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError) as refused:
        await scene.client.call(STOP)
    assert (refused.value.code, refused.value.reply) == (NdmpError.NOT_SUPPORTED_ERR, None)
    with pytest.raises(NdmpReplyError, match="was refused: 0x20500101"):
        await scene.client.call(STOP)
    await scene.client.close()


def undecodable_reply(request: Any) -> bytes:
    header = m.Header(
        sequence=1,
        time_stamp=0,
        message_type=1,
        message_code=request.header.message_code,
        reply_sequence=request.header.sequence,
        error_code=0,
    )
    return marked(xdr.encode(header))


async def test_a_reply_that_cannot_be_read_ends_the_call_alone(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.answer_with(STOP, undecodable_reply)
    scene.dialogue.expect(STOP, STOPPED)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(RemoteProtocolError, match="DATA_STOP from the peer cannot be read"):
        await scene.client.call(STOP)
    assert await scene.client.call(STOP) == STOPPED
    await scene.client.close()


async def test_requests_of_several_tasks_go_one_at_a_time(
    scene: Any, nursery: trio.Nursery
) -> None:
    for number in range(3):
        scene.dialogue.expect(
            m.TapeReadRequest(count=number), m.TapeReadReply(error=OK, data_in=bytes(number))
        )
    nursery.start_soon(scene.dialogue.run)
    replies: list[int] = []

    async def read(count: int) -> None:
        reply = await scene.client.call(m.TapeReadRequest(count=count))
        replies.append(len(reply.data_in))

    async with trio.open_nursery() as readers:
        for number in range(3):
            readers.start_soon(read, number)
            await trio.testing.wait_all_tasks_blocked()
    assert replies == [0, 1, 2]
    await scene.client.close()


async def test_a_call_that_is_given_up_leaves_the_session_usable(
    scene: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    late = m.TapeMtioReply(error=OK, resid_count=3)
    rewind = m.TapeMtioRequest(tape_op=4, count=1)
    kept: list[Any] = []

    def keep(request: Any) -> bytes:
        kept.append(request)
        return b""

    scene.dialogue.answer_with(rewind, keep)
    scene.dialogue.answer_with(
        STOP,
        lambda request: (
            scene.dialogue.wire.send_reply(kept[0], late)
            + scene.dialogue.wire.send_reply(request, STOPPED)
        ),
    )
    nursery.start_soon(scene.dialogue.run)
    with trio.move_on_after(5) as patience:
        await scene.client.call(rewind)
    assert patience.cancelled_caught
    assert await scene.client.call(STOP) == STOPPED
    await scene.client.close()


# Waiting.


async def test_each_waiting_task_gets_its_own_news(
    scene: Any, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    got: list[m.Message] = []

    async def wait(kind: type[m.Message]) -> None:
        got.append(await scene.client.wait_for(kind))

    async with trio.open_nursery() as waiting:
        waiting.start_soon(wait, m.NotifyMoverPausedPost)
        waiting.start_soon(wait, m.NotifyDataHaltedPost)
        await trio.testing.wait_all_tasks_blocked()
        scene.dialogue.post(HALTED)
        scene.dialogue.post(PAUSED)
        nursery.start_soon(scene.dialogue.run)
    assert len(got) == 2
    assert HALTED in got
    assert PAUSED in got
    await scene.client.close()


async def test_another_task_reads_on_when_the_reader_gives_up(
    scene: Any, nursery: trio.Nursery
) -> None:
    scope = trio.CancelScope()

    async def give_up() -> None:
        with scope:
            await scene.client.wait_for(m.NotifyMoverPausedPost)

    async with trio.open_nursery() as waiting:
        waiting.start_soon(give_up)
        await trio.testing.wait_all_tasks_blocked()
        waiting.start_soon(scene.client.wait_for, m.NotifyDataHaltedPost)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        scene.dialogue.post(HALTED)
        nursery.start_soon(scene.dialogue.run)
    await scene.client.close()


async def test_logs_without_a_handler_are_dropped_and_news_can_be(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.post(log("nobody hears"), HALTED)
    scene.dialogue.expect(STOP, STOPPED)
    scene.dialogue.post(PAUSED)
    nursery.start_soon(scene.dialogue.run)
    await scene.client.call(STOP)
    scene.client.forget_notifications()
    assert await scene.client.wait_for(m.Message) == PAUSED
    await scene.client.close()


async def test_a_handler_can_be_taken_away(scene: Any, nursery: trio.Nursery) -> None:
    told: list[m.Message] = []
    scene.client.on_post(m.LogMessagePost, told.append)
    scene.dialogue.post(log("heard"))
    scene.dialogue.expect(STOP, STOPPED, log("not heard"))
    scene.dialogue.expect(STOP, STOPPED)
    nursery.start_soon(scene.dialogue.run)
    await scene.client.call(STOP)
    scene.client.on_post(m.LogMessagePost, None)
    await scene.client.call(STOP)
    assert told == [log("heard")]
    await scene.client.close()


async def test_a_post_that_cannot_be_read_is_logged(
    scene: Any, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    header = m.Header(
        sequence=9,
        time_stamp=0,
        message_type=0,
        message_code=0x501,
        reply_sequence=0,
        error_code=0,
    )
    scene.dialogue.send(marked(xdr.encode(header)))
    scene.dialogue.expect(STOP, STOPPED)
    nursery.start_soon(scene.dialogue.run)
    await scene.client.call(STOP)
    assert "NOTIFY_DATA_HALTED from the peer cannot be read" in caplog.text
    await scene.client.close()


# Ends.


async def test_the_servers_farewell_is_the_reason(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.post(status())
    scene.dialogue.post(status(ConnectionStatusReason.SHUTDOWN, text="maintenance"))
    scene.dialogue.hang_up()
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(ConnectionLost, match="memory is lost: the server says: maintenance"):
        await scene.client.wait_for(m.NotifyDataHaltedPost)
    with pytest.raises(ConnectionLost):
        await scene.client.call(STOP)
    await scene.client.close()


async def test_news_that_came_before_the_end_is_still_there(
    scene: Any, nursery: trio.Nursery
) -> None:
    scene.dialogue.post(HALTED, PAUSED)
    scene.dialogue.hang_up()
    nursery.start_soon(scene.dialogue.run)
    await scene.client.wait_for(m.NotifyMoverPausedPost)
    await trio.testing.wait_all_tasks_blocked()
    assert await scene.client.wait_for(m.NotifyDataHaltedPost) == HALTED
    with pytest.raises(ConnectionLost, match="the server closed it"):
        await scene.client.wait_for(m.NotifyDataHaltedPost)


async def test_a_stream_that_is_no_ndmp_ends_the_session(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.send(b"HTTP/1.1 400 Bad Request\r\n")
    nursery.start_soon(scene.dialogue.run)
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="sends a message of at least"):
            await scene.client.wait_for(m.Message)
    await scene.client.close()


class FailingStream(trio.abc.Stream):
    """A stream on which nothing works, or sending never ends."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._hangs:
            await trio.sleep_forever()
        raise trio.BrokenResourceError from OSError("no route")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError from OSError("reset by peer")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_broken_stream_is_a_lost_connection() -> None:
    client = NdmpClient(FailingStream(), address="failing", clock=lambda: 0.0)
    with pytest.raises(ConnectionLost, match="no route"):
        await client.call(STOP)
    with pytest.raises(ConnectionLost, match="a request was broken off"):
        await client.call(STOP)
    client = NdmpClient(FailingStream(), address="failing", clock=lambda: 0.0)
    with pytest.raises(ConnectionLost, match="reset by peer"):
        await client.wait_for(m.Message)
    await client.close()


async def test_a_request_sent_in_part_ends_the_session(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client = NdmpClient(FailingStream(hangs=True), address="slow", clock=lambda: 0.0)
    with trio.move_on_after(1):
        await client.call(STOP)
    with pytest.raises(ConnectionLost, match="a request was broken off"):
        await client.call(STOP)


async def test_closing_says_goodbye_and_hears_the_server_out(
    scene: Any, nursery: trio.Nursery
) -> None:
    told: list[m.LogMessagePost] = []
    scene.client.on_post(m.LogMessagePost, told.append)
    scene.dialogue.expect(m.ConnectCloseRequest(), None, log("goodbye"))
    scene.dialogue.hang_up()
    nursery.start_soon(scene.dialogue.run)
    await scene.client.close()
    assert told == [log("goodbye")]


async def test_a_server_that_does_not_hang_up_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = NdmpClient(ours, address="mute", clock=lambda: 0.0)
    before = trio.current_time()
    await client.close(timeout_s=3)
    assert trio.current_time() - before == 3
    assert len(await theirs.receive_some()) == 28
    assert await theirs.receive_some() == b""


# Over TCP.


@pytest.fixture
async def listener() -> AsyncIterator[trio.SocketListener]:
    [listening] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listening:
        yield listening


async def test_a_session_over_tcp_is_closed_when_it_is_left(
    listener: trio.SocketListener, nursery: trio.Nursery, dialogue_on: Any
) -> None:
    port = listener.socket.getsockname()[1]
    ended = trio.Event()

    async def serve() -> None:
        dialogue = dialogue_on(await listener.accept())
        dialogue.post(status())
        dialogue.expect(m.ConnectOpenRequest(protocol_version=4), m.ConnectOpenReply(error=OK))
        await dialogue.run()
        assert dialogue.said_goodbye
        ended.set()

    nursery.start_soon(serve)
    async with NdmpClient.connect("127.0.0.1", port, clock=lambda: 0.0) as client:
        await client.open()
        assert client.address == f"127.0.0.1:{port}"
    await ended.wait()


async def test_an_error_inside_a_session_comes_out_as_it_is(
    listener: trio.SocketListener, nursery: trio.Nursery, dialogue_on: Any
) -> None:
    port = listener.socket.getsockname()[1]
    request = m.TapeOpenRequest(device="x", mode=TapeOpenMode.READ)

    async def serve() -> None:
        dialogue = dialogue_on(await listener.accept())
        dialogue.expect(request, m.TapeOpenReply(error=NdmpError.NO_DEVICE_ERR))
        await dialogue.run()

    nursery.start_soon(serve)
    with pytest.raises(NdmpReplyError, match="TAPE_OPEN was refused: NO_DEVICE_ERR"):
        async with NdmpClient.connect("127.0.0.1", port, clock=lambda: 0.0) as client:
            await client.call(request)


async def test_nobody_at_an_address_is_said_so() -> None:
    [gone] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = gone.socket.getsockname()[1]
    await gone.aclose()
    connect = functools.partial(NdmpClient.connect, "127.0.0.1", port, clock=lambda: 0.0)
    with pytest.raises(TapekitError, match=f"no NDMP server answers at 127.0.0.1:{port}"):
        async with connect():
            pytest.fail("connected to nobody")


README = Path(__file__).parents[4] / "plugins" / "ndmp_v4" / "README.md"


def example() -> str:
    """The program in the package's documentation."""
    documentation = inspect.cleandoc(client_package.__doc__ or "")
    block = documentation.split("::\n\n", 1)[1].split("\nFor a restore", 1)[0]
    return textwrap.dedent(block).strip() + "\n"


def test_the_readme_shows_the_same_example() -> None:
    assert f"```python\n{example()}```\n" in README.read_text("utf-8")


async def test_the_example_makes_a_backup(
    listener: trio.SocketListener,
    nursery: trio.Nursery,
    dialogue_on: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = m.NotifyMoverHaltedPost(reason=MoverHaltReason.CONNECT_CLOSED)

    async def serve() -> None:
        dialogue = dialogue_on(await listener.accept())
        dialogue.post(status())
        attr = m.AuthAttrMd5(challenge=CHALLENGE)
        local = m.LocalAddr()
        setting_up: list[tuple[m.Message, m.Message | None]] = [
            (m.ConnectOpenRequest(protocol_version=4), None),
            (
                m.ConfigGetAuthAttrRequest(auth_type=AuthType.MD5),
                m.ConfigGetAuthAttrReply(error=OK, server_attr=attr),
            ),
            (
                auth(m.AuthMd5(auth_id="ndmp", auth_digest=challenge_digest(CHALLENGE, b"secret"))),
                None,
            ),
            (m.MoverSetRecordSizeRequest(len=65536), None),
            (m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR), None),
            (m.TapeMtioRequest(tape_op=4, count=1), None),
            (m.MoverSetWindowRequest(offset=0, length=2**64 - 1), None),
            (m.MoverListenRequest(mode=0, addr_type=0), None),
            (m.DataConnectRequest(addr=local), None),
        ]
        for request, reply in setting_up:
            row = EXCHANGES.of(type(request))
            dialogue.expect(request, reply or refusal(row, OK))
        env = tuple(
            m.Pair(*pair) for pair in (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"), ("HIST", "n"))
        )
        start = m.DataStartBackupRequest(butype_name="dump", env=env)
        dialogue.expect(start, m.DataStartBackupReply(error=OK), HALTED, done)
        letting_go: list[m.Message] = [
            m.DataGetEnvRequest(),
            m.DataGetStateRequest(),
            m.MoverGetStateRequest(),
            m.TapeMtioRequest(tape_op=5, count=2),
            m.TapeMtioRequest(tape_op=4, count=1),
            m.TapeCloseRequest(),
            m.DataStopRequest(),
            m.MoverStopRequest(),
        ]
        for request in letting_go:
            dialogue.expect(request, refusal(EXCHANGES.of(type(request)), OK))
        await dialogue.run()

    nursery.start_soon(serve)
    program, _, start_line = example().rstrip().rpartition("\n")
    assert start_line == "trio.run(main)"
    names: dict[str, Any] = {}
    port = listener.socket.getsockname()[1]
    exec(compile(program.replace("10000", str(port)), "example", "exec"), names)
    await names["main"]()
    assert capsys.readouterr().out.startswith("0 bytes in 0.0")
