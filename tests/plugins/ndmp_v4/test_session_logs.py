"""Logs of sessions: whole, bounded, and ended when they should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import session_logs
from tapekit_ndmp_v4.connection import NdmpConnection, Role
from tapekit_ndmp_v4.session_logs import SessionLogs
from tapekit_ndmp_v4.tracing import SessionTracing, TraceHub

if TYPE_CHECKING:
    from pathlib import Path


def clock() -> float:
    return 1_700_000_000.25


def ask(server: NdmpConnection, times: int = 1) -> None:
    client = NdmpConnection(Role.CLIENT, clock=clock)
    for _ in range(times):
        server.receive_data(client.send_request(m.DataGetStateRequest()))
        server.next_event()


def is_watched(server: NdmpConnection) -> bool:
    return server.watch is not None


async def test_a_log_has_all_that_came_until_it_is_stopped(tmp_path: Path) -> None:
    hub, server = TraceHub(), NdmpConnection(Role.SERVER, clock=clock)
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path / "logs", hub, nursery, clock)
        with hub.session(3, SessionTracing(3, server, clock)):
            file = await logs.start(3)
            await trio.testing.wait_all_tasks_blocked()
            ask(server, 50)
            assert await logs.stop(3) == file
            ask(server)
    assert file == tmp_path / "logs" / "ndmp-session-3-20231114T221320.250000Z.jsonl"
    assert len(file.read_text().splitlines()) == 50


async def test_all_logs_end_with_the_server(tmp_path: Path) -> None:
    hub, server = TraceHub(), NdmpConnection(Role.SERVER, clock=clock)
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path, hub, nursery, clock)
        with hub.session(1, SessionTracing(1, server, clock)):
            one, every = await logs.start(1), await logs.start(None)
            await trio.testing.wait_all_tasks_blocked()
            ask(server)
            await logs.close()
    assert one.read_text() == every.read_text() != ""


async def test_a_log_that_was_forgotten_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_logs, "_LONGEST_BYTES", 1000)
    hub, server = TraceHub(), NdmpConnection(Role.SERVER, clock=clock)
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path, hub, nursery, clock)
        with hub.session(1, SessionTracing(1, server, clock)):
            file = await logs.start(1)
            await trio.testing.wait_all_tasks_blocked()
            with trio.fail_after(10):
                while is_watched(server):
                    ask(server)
                    await trio.lowlevel.checkpoint()
            with pytest.raises(TapekitError, match="there is no log of session 1"):
                await logs.stop(1)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1] == {"time": 1_700_000_000.25, "notice": "the log has its longest length"}
    assert file.stat().st_size < 1200
