"""Replays: which files can be played, and servers that do not keep up."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import NdmpConnection, Request, Role
from tapekit_ndmp_v4.errors import ConnectionLost
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.replay import Part, ReplayResult, read_trace, replay
from tapekit_ndmp_v4.replay_session import Login, Target
from tapekit_ndmp_v4.xdr import zero

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOBODY = Login(None, None)


def clock() -> float:
    return 0.0


def row(kind: str, message: str, session: int = 1, **body: Any) -> dict[str, Any]:
    fields = {"error": "NO_ERR", **body} if kind == "reply" else body
    return {"session": session, "kind": kind, "message": message, "body": fields}


GREETING = row(
    "post",
    "NOTIFY_CONNECTION_STATUS",
    reason="CONNECTED",
    protocol_version=4,
    text_reason="hello",
)
ASK_STATE = row("request", "DATA_GET_STATE")
CUT = row("request", "TAPE_WRITE", data_out={"total": 100, "first": "00"})


@pytest.fixture
def trace(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as a trace."""

    def write(*rows: dict[str, Any]) -> Path:
        file = tmp_path / "trace.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in rows))
        return file

    return write


def test_the_one_session_of_a_trace_is_taken(trace: Callable[..., Path]) -> None:
    assert [each.message for each in read_trace(trace(GREETING, ASK_STATE), None)] == [
        "NOTIFY_CONNECTION_STATUS",
        "DATA_GET_STATE",
    ]
    assert read_trace(trace(), None) == []


def test_of_several_sessions_one_is_chosen(trace: Callable[..., Path]) -> None:
    file = trace(GREETING, ASK_STATE | {"session": 7}, ASK_STATE)
    assert [each.line for each in read_trace(file, 7)] == [2]
    with pytest.raises(TapekitError, match="the trace has the sessions 1, 7"):
        read_trace(file, None)
    with pytest.raises(TapekitError, match=r"has no session 9; it has: 1, 7"):
        read_trace(file, 9)


def test_a_trace_with_gaps_is_not_played(trace: Callable[..., Path]) -> None:
    with pytest.raises(TapekitError, match=r"line 2: the session cannot be sent again: .*dropped"):
        read_trace(trace(GREETING, {"notice": "dropped", "messages": 3}), None)


def test_what_is_no_trace_is_told(tmp_path: Path) -> None:
    with pytest.raises(TapekitError, match="No such file"):
        read_trace(tmp_path / "none", None)
    (tmp_path / "other").write_bytes(b"\x00\xff")
    with pytest.raises(TapekitError) as refused:
        read_trace(tmp_path / "other", None)
    assert refused.value.id == "ndmp_v4.trace-unreadable"


@asynccontextmanager
async def scripted(answer: Callable[[NdmpConnection, Request], bytes | None]) -> AsyncIterator[int]:
    """A server that greets, and says what it is told to; ``None`` hangs up."""

    async def serve(stream: trio.SocketStream) -> None:
        wire = NdmpConnection(Role.SERVER, clock=clock)
        greeting = m.NotifyConnectionStatusPost(reason=0, protocol_version=4, text_reason="hello")
        await stream.send_all(wire.send_post(greeting))
        while data := await stream.receive_some():
            wire.receive_data(data)
            while (event := wire.next_event()) is not None:
                assert isinstance(event, Request)
                is_end = isinstance(event.body, m.ConnectCloseRequest)
                said = None if is_end else answer(wire, event)
                if said is None:
                    return
                await stream.send_all(said)

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def played(file: Path, port: int, timeout_s: float = 5.0) -> ReplayResult:
    target = Target("127.0.0.1", port, timeout_s)
    with trio.fail_after(60):
        return await replay([Part(file, read_trace(file, None), target)], NOBODY, clock)


def refuse(wire: NdmpConnection, request: Request) -> bytes:
    return wire.send_header_error(request, NdmpError.NOT_SUPPORTED_ERR)


async def test_a_header_error_is_an_answer_like_any(trace: Callable[..., Path]) -> None:
    refusal = row("reply", "DATA_GET_STATE") | {"error": "NOT_SUPPORTED_ERR", "body": None}
    async with scripted(refuse) as port:
        result = await played(trace(GREETING, ASK_STATE, refusal), port)
    assert result == ReplayResult(requests=1, compared=2, difference=None)


async def test_what_was_cut_or_unread_cannot_be_sent(trace: Callable[..., Path]) -> None:
    unread = {"session": 1, "kind": "request", "message": None, "body": None}
    unread_fields = {"session": 1, "kind": "request", "message": "TAPE_WRITE", "body": None}
    extension = row("request", "PRIVATE_DATA_OF_A_PLUGIN", token="00")
    broken = row("request", "MOVER_LISTEN", mode="SIDEWAYS", addr_type="TCP")
    async with scripted(refuse) as port:
        for request, reason in (
            (CUT, "line 2: TAPE_WRITE cannot be sent again: a field was cut"),
            (unread, "could not be read when it came"),
            (unread_fields, "line 2: TAPE_WRITE cannot be sent again: it could not be read"),
            (extension, "PRIVATE_DATA_OF_A_PLUGIN cannot be .* an extension that this stack lacks"),
            (broken, "MOVER_LISTEN cannot be sent again: KeyError: 'SIDEWAYS'"),
        ):
            with pytest.raises(TapekitError, match=reason):
                await played(trace(GREETING, request), port)


async def test_what_does_not_come_is_waited_for_and_named(trace: Callable[..., Path]) -> None:
    halted = row("post", "NOTIFY_DATA_HALTED", reason="SUCCESSFUL")
    async with scripted(lambda _wire, _request: b"") as port:
        with pytest.raises(TapekitError, match="line 2: NOTIFY_DATA_HALTED did not come within"):
            await played(trace(GREETING, halted, ASK_STATE), port, 0.1)
        with pytest.raises(TapekitError, match="line 2: the reply to DATA_GET_STATE did not come"):
            await played(trace(GREETING, ASK_STATE), port, 0.1)


async def test_a_server_that_hangs_up_is_told(trace: Callable[..., Path]) -> None:
    async with scripted(lambda _wire, _request: None) as port:
        with pytest.raises(ConnectionLost):
            await played(trace(GREETING, ASK_STATE), port)


async def test_addresses_of_the_replay_take_the_place_of_the_recorded(
    trace: Callable[..., Path],
) -> None:
    heard: list[m.Addr] = []
    now = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=1, port=4444, addr_env=()),))

    def answer(wire: NdmpConnection, request: Request) -> bytes:
        if isinstance(request.body, m.DataListenRequest):
            return wire.send_reply(request, m.DataListenReply(error=0, connect_addr=now))
        if isinstance(request.body, m.DataGetStateRequest):
            # Not recorded: the replay asks whether the connection has been taken in.
            return wire.send_reply(request, zero(m.DataGetStateReply))
        assert isinstance(request.body, m.MoverConnectRequest)
        heard.append(request.body.addr)
        return wire.send_reply(request, m.MoverConnectReply(error=0))

    then = {"type": "TcpAddrs", "tcp_addr": [{"ip": 9, "port": 1111, "addr_env": []}]}
    file = trace(
        GREETING,
        row("request", "DATA_LISTEN", addr_type="TCP"),
        row("reply", "DATA_LISTEN", connect_addr=then),
        row("request", "MOVER_CONNECT", mode="READ", addr=then),
        row("reply", "MOVER_CONNECT"),
    )
    async with scripted(answer) as port:
        result = await played(file, port)
    assert result.difference is None
    assert heard == [now]


def tcp_at(ip: object, port: object) -> dict[str, Any]:
    return {"type": "TcpAddrs", "tcp_addr": [{"ip": ip, "port": port, "addr_env": []}]}


@pytest.mark.parametrize(
    "request_row",
    [
        row("request", "DATA_CONNECT", addr=tcp_at(1 << 40, 1)),
        row("request", "DATA_CONNECT", addr=tcp_at(1, [1])),
        row("request", "MOVER_CONNECT", mode="READ", addr=tcp_at("here", 1)),
        row("request", "MOVER_SET_WINDOW", offset=-1, length=1 << 70),
        row("request", "CONFIG_SET_EXT_LIST", ndmp_selected_ext=[{"ext_class_id": "x"}]),
    ],
)
async def test_what_no_message_can_say_is_told_with_its_line(
    trace: Callable[..., Path], request_row: dict[str, Any]
) -> None:
    async with scripted(refuse) as port:
        with pytest.raises(TapekitError, match=r"line 2: .* cannot be sent again") as refused:
            await played(trace(GREETING, request_row), port)
    assert refused.value.id == "ndmp_v4.trace-not-replayable"


async def test_fields_of_other_kinds_are_differences(trace: Callable[..., Path]) -> None:
    """Somebody else's file may have anything where a name is expected."""
    listening = row("reply", "DATA_LISTEN", connect_addr=tcp_at(1, [1]))
    halted = row("post", "NOTIFY_MOVER_HALTED", reason=["ABORTED"])
    told = row("post", "LOG_MESSAGE", log_type=["ERROR"])
    state = row("reply", "DATA_GET_STATE", state=["ACTIVE"])
    async with scripted(refuse) as port:
        result = await played(trace(GREETING, told, ASK_STATE, state), port)
        assert result.difference is not None
        with pytest.raises(TapekitError, match="NOTIFY_MOVER_HALTED did not come"):
            await played(trace(GREETING, listening, state, halted), port, 0.1)


@pytest.mark.parametrize("line", ['{"kind":"request","code":"zz"}', '{"a":' + "[" * 100_000])
def test_a_line_of_no_trace_is_told(tmp_path: Path, line: str) -> None:
    file = tmp_path / "other"
    file.write_text(line)
    with pytest.raises(TapekitError) as refused:
        read_trace(file, None)
    assert refused.value.id == "ndmp_v4.trace-unreadable"
