"""Readers of traces: what they get, and that nobody waits for them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import trio
import trio.testing

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import NdmpConnection, Request, Role
from tapekit_ndmp_v4.tracing import SessionTracing, TraceHub, TraceQueue


def clock() -> float:
    return 7.0


class Traced:
    """A server's end of a connection, and what a client can do to it."""

    def __init__(self, number: int = 1) -> None:
        self.client = NdmpConnection(Role.CLIENT, clock=clock)
        self.server = NdmpConnection(Role.SERVER, clock=clock)
        self.tracing = SessionTracing(number, self.server, clock)

    def is_watched(self) -> bool:
        return self.server.watch is not None

    def ask(self, request: m.Message) -> None:
        self.server.receive_data(self.client.send_request(request))
        assert isinstance(self.server.next_event(), Request)


def queue(limit_bytes: int = 1 << 20, **options: bool) -> TraceQueue:
    return TraceQueue(limit_bytes, clock, **options)


async def rows(traces: TraceQueue) -> list[dict[str, Any]]:
    return [json.loads(line) for line in await traces.take()]


def test_a_session_is_watched_only_while_somebody_reads() -> None:
    traced, one, two = Traced(), queue(), queue()
    assert not traced.is_watched()
    traced.tracing.add(one)
    traced.tracing.add(two)
    traced.tracing.remove(one)
    assert traced.is_watched()
    traced.tracing.remove(two)
    traced.tracing.remove(two)
    assert not traced.is_watched()


async def test_each_reader_gets_what_it_asked_for() -> None:
    traced, short, whole = Traced(3), queue(), queue(is_replayable=True)
    traced.tracing.add(short)
    traced.tracing.add(whole)
    traced.ask(m.TapeWriteRequest(data_out=bytes(100)))
    (cut,), (full,) = await rows(short), await rows(whole)
    assert (cut["session"], cut["message"]) == (3, "TAPE_WRITE")
    assert cut["body"]["data_out"] == {"total": 100, "first": "00" * 64}
    assert full["body"]["data_out"] == "00" * 100


async def test_a_slow_reader_loses_messages_and_is_told_how_many() -> None:
    traced, slow = Traced(), queue(600)
    traced.tracing.add(slow)
    for _ in range(10):
        traced.ask(m.DataGetStateRequest())
    *messages, notice = await rows(slow)
    assert 0 < len(messages) < 10
    assert notice == {"time": 7.0, "notice": "dropped", "messages": 10 - len(messages)}
    traced.ask(m.DataGetStateRequest())
    (later,) = await rows(slow)
    assert later["message"] == "DATA_GET_STATE"


async def test_a_closed_queue_gives_the_rest_and_then_nothing() -> None:
    traces = queue()
    traces.put(b"{}\n")
    traces.close()
    traces.put(b"[]\n")
    assert await traces.take() == [b"{}\n"]
    assert await traces.take() == []
    assert await traces.take() == []


async def test_a_reader_waits_for_the_next_message() -> None:
    traced, traces = Traced(), queue()
    traced.tracing.add(traces)
    async with trio.open_nursery() as nursery:
        found: list[dict[str, Any]] = []

        async def read() -> None:
            found.extend(await rows(traces))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        traced.ask(m.DataGetStateRequest())
    assert [row["message"] for row in found] == ["DATA_GET_STATE"]


async def test_a_reader_of_all_gets_sessions_to_come() -> None:
    hub, first, second, traces = TraceHub(), Traced(1), Traced(2), queue()
    with hub.session(1, first.tracing):
        with hub.reading(traces, None):
            first.ask(m.DataGetStateRequest())
            with hub.session(2, second.tracing):
                second.ask(m.DataGetStateRequest())
            assert [row["session"] for row in await rows(traces)] == [1, 2]
        assert not first.is_watched()
    with hub.session(2, second.tracing):
        assert len(hub._of_all) == 0


async def test_a_reader_of_one_session_ends_with_it() -> None:
    hub, traced, other, traces = TraceHub(), Traced(1), Traced(2), queue()
    ended = contextlib.ExitStack()
    ended.enter_context(hub.session(1, traced.tracing))
    with hub.session(2, other.tracing), hub.reading(traces, 1):
        traced.ask(m.DataGetStateRequest())
        other.ask(m.DataGetStateRequest())
        ended.close()
        assert [row["session"] for row in await rows(traces)] == [1]
        assert await traces.take() == []


@pytest.mark.parametrize("session", [1, 99])
async def test_a_session_that_is_gone_is_no_error(session: int) -> None:
    hub, traces = TraceHub(), queue()
    with hub.reading(traces, session):
        assert await traces.take() == []
