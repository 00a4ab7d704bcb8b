"""Logs of sessions: whole, bounded, and ended when they should be."""

from __future__ import annotations

import json
import os
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
            with trio.fail_after(60):
                while is_watched(server):
                    ask(server)
                    await trio.lowlevel.checkpoint()
            with pytest.raises(TapekitError, match="there is no log of session 1"):
                await logs.stop(1)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1] == {"time": 1_700_000_000.25, "notice": "the log has its longest length"}
    assert file.stat().st_size < 1200


async def test_a_log_on_a_full_disk_ends_alone_and_its_stop_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_logs, "_made", lambda _file: os.open("/dev/full", os.O_WRONLY))
    hub, server = TraceHub(), NdmpConnection(Role.SERVER, clock=clock)
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path, hub, nursery, clock)
        with hub.session(1, SessionTracing(1, server, clock)):
            await logs.start(1)
            await trio.testing.wait_all_tasks_blocked()
            ask(server)
            with trio.fail_after(60):
                while is_watched(server):
                    await trio.lowlevel.checkpoint()
            with pytest.raises(TapekitError, match=r"the log ended early: No space left"):
                await logs.stop(1)
            with pytest.raises(TapekitError, match="there is no log of session 1"):
                await logs.stop(1)
    assert "the log ended early: No space left" in caplog.text


async def test_stopping_a_log_that_cannot_be_finished_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_logs, "_made", lambda _file: os.open("/dev/full", os.O_WRONLY))
    hub, server = TraceHub(), NdmpConnection(Role.SERVER, clock=clock)
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path, hub, nursery, clock)
        with hub.session(1, SessionTracing(1, server, clock)):
            await logs.start(None)
            await trio.testing.wait_all_tasks_blocked()
            ask(server)
            with pytest.raises(TapekitError, match=r"the log ended early: No space left"):
                await logs.stop(None)
            await logs.start(None)
            await logs.close()


async def test_of_two_starts_at_once_one_is_refused(tmp_path: Path) -> None:
    outcomes: list[str] = []

    async def start(logs: SessionLogs) -> None:
        try:
            outcomes.append((await logs.start(None)).suffix)
        except TapekitError as error:
            outcomes.append(error.id)

    async with trio.open_nursery() as nursery:
        logs = SessionLogs(tmp_path, TraceHub(), nursery, clock)
        async with trio.open_nursery() as starters:
            starters.start_soon(start, logs)
            starters.start_soon(start, logs)
        await logs.close()
    assert sorted(outcomes) == [".jsonl", "ndmp_v4.log-runs-already"]


async def test_a_log_that_could_not_be_made_can_be_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_bytes(b"")
    async with trio.open_nursery() as nursery:
        logs = SessionLogs(folder, TraceHub(), nursery, clock)
        with pytest.raises(TapekitError, match="the log cannot be made"):
            await logs.start(None)
        folder.unlink()
        file = await logs.start(None)
        await logs.close()
    assert file.read_bytes() == b""
