"""What the server says to callers that send anything at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from tapekit.hookspecs.operations import NoReply, NoRequest, Operation
from tapekit_admin import protocol
from tapekit_admin.errors import CATALOGUE
from tapekit_admin.server import ManagementServer

from .conftest import Number

if TYPE_CHECKING:
    from .conftest import Sums


async def said(server: ManagementServer, sent: bytes, *, ends: bool = False) -> list[Any]:
    """The lines that a caller gets that sends these bytes."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_connection, theirs)
        await ours.send_all(sent)
        if ends:
            await ours.send_eof()
        while data := await ours.receive_some():
            received += data
    return [msgspec.json.decode(line) for line in received.splitlines()]


@pytest.fixture
def server(sums: Sums) -> ManagementServer:
    return ManagementServer({one.name: one for one in sums.offered()}, 2)


CALL = b'{"version":1,"operation":"sums.double","request":{"to":4}}\n'


async def test_a_call_is_one_line_and_one_answer(server: ManagementServer) -> None:
    assert await said(server, CALL) == [{"kind": "reply", "value": {"value": 8}}]


async def test_a_feed_is_items_and_an_end(server: ManagementServer) -> None:
    call = b'{"version":1,"operation":"sums.count","request":{"to":2}}\n'
    assert await said(server, call) == [
        {"kind": "item", "value": {"value": 0}},
        {"kind": "item", "value": {"value": 1}},
        {"kind": "end"},
    ]


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", "admin.call-not-understood"),
        (b"\n", "admin.call-not-understood"),
        (b"\xff\xfe\n", "admin.call-not-understood"),
        (b"[1]\n", "admin.call-not-understood"),
        (b'{"version":1}\n', "admin.call-not-understood"),
        (CALL + CALL, "admin.call-not-understood"),
        (b'{"version":1,"operation":"sums.double","more":1}\n', "admin.call-not-understood"),
        (b'{"version":2,"operation":"sums.double"}\n', "admin.other-protocol-version"),
        (b'{"version":1,"operation":"sums.triple"}\n', "admin.unknown-operation"),
        (b'{"version":1,"operation":"sums.double"}\n', "admin.bad-request"),
        (b'{"version":1,"operation":"sums.double","request":{"to":""}}\n', "admin.bad-request"),
        (b'{"version":1,"operation":"sums.harm"}\n', "admin.needs-advanced-privilege"),
        (
            b'{"version":1,"operation":"sums.harm","privilege":"root"}\n',
            "admin.needs-advanced-privilege",
        ),
    ],
)
async def test_bad_calls_get_an_error(server: ManagementServer, sent: bytes, error: str) -> None:
    (answer,) = await said(server, sent, ends=not sent)
    assert (answer["kind"], answer["id"]) == ("error", error)
    assert answer["message"]
    assert answer["action"]


async def test_a_call_without_end_is_refused_before_it_is_kept(server: ManagementServer) -> None:
    (answer,) = await said(server, b" " * (protocol.CALL_BYTES + 1))
    assert answer["id"] == "admin.call-too-long"


async def test_a_caller_that_says_nothing_is_not_waited_for(
    server: ManagementServer, autojump_clock: trio.testing.MockClock
) -> None:
    (answer,) = await said(server, b'{"version":')
    assert answer["id"] == "admin.call-too-long"


async def test_an_answer_that_is_too_long_is_an_error(
    sums: Sums, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Text(msgspec.Struct):
        text: str

    async def perform(_request: NoRequest) -> Text:
        return Text("x" * protocol.ANSWER_BYTES)

    long = Operation(name="a.long", summary="", request=NoRequest, reply=Text)
    server = ManagementServer({"a.long": long.performed_by(perform)}, 1)
    (answer,) = await said(server, b'{"version":1,"operation":"a.long"}\n')
    assert answer["id"] == "admin.answer-too-long"


async def test_more_callers_than_allowed_are_told(server: ManagementServer, sums: Sums) -> None:
    waiting = b'{"version":1,"operation":"sums.count","request":{"to":-1}}\n'
    async with trio.open_nursery() as nursery:
        callers = []
        for _ in range(2):
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(server.serve_connection, theirs)
            await ours.send_all(waiting)
            assert await ours.receive_some()
            callers.append(ours)
        (answer,) = await said(server, CALL)
        assert answer["id"] == "admin.too-many-calls"
        await callers[0].aclose()
        await sums.cancelled.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert await said(server, CALL) == [
            {"kind": "reply", "value": msgspec.to_builtins(Number(8))}
        ]
        await callers[1].aclose()


async def test_an_error_about_a_name_that_is_no_utf_8_is_told() -> None:
    async def perform(_request: NoRequest) -> NoReply:
        raise CATALOGUE.error("unknown-operation", operation="caf\udce9", known="none")

    named = Operation(name="a.named", summary="", request=NoRequest, reply=NoReply)
    server = ManagementServer({"a.named": named.performed_by(perform)}, 1)
    (answer,) = await said(server, b'{"version":1,"operation":"a.named"}\n')
    assert answer["id"] == "admin.unknown-operation"
    assert "caf\\udce9" in answer["message"]


async def test_a_defect_ends_a_call_and_not_the_stack(caplog: pytest.LogCaptureFixture) -> None:
    class FailingOperations(dict[str, Any]):
        def get(self, name: str, default: object = None) -> object:
            raise AttributeError(name, default)

    server = ManagementServer(FailingOperations(), 1)
    assert await said(server, CALL) == []
    assert "a defect ended a call" in caplog.text
