"""How much a server takes on, and how it stops taking anything on."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from joint_states import start
from memory_stack import MemoryStack, memory_stack
from plain_client import Lost, PlainClient, listening
from tapekit.hookspecs.tape_driver import Condition
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import (
    AddrType,
    ConnectionStatusReason,
    DataHaltReason,
    DataState,
    MoverMode,
    MoverState,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VOLUME = "/vs1/vol1"


def dump(butype: str = "dump") -> m.DataStartBackupRequest:
    return m.DataStartBackupRequest(butype_name=butype, env=(Pair("FILESYSTEM", VOLUME),))


@contextmanager
def connected(stack: MemoryStack) -> Iterator[PlainClient]:
    """A session whose data server is connected to a peer that reads nothing."""
    with stack.client() as client, listening() as (address, _):
        client.do(m.DataConnectRequest(addr=address))
        yield client


@pytest.mark.requirement("R311")
@pytest.mark.requirement("R313")
@pytest.mark.requirement("R112")
def test_no_more_drives_move_data_than_may(tmp_path: Path) -> None:
    local = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL)
    remote = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
    with (
        memory_stack(tmp_path, "[ndmp_v4]\nlocal_tape_jobs = 2") as stack,
        ExitStack() as clients,
        listening() as (address, _),
    ):
        users = [clients.enter_context(stack.client()) for _ in range(3)]
        for number, client in enumerate(users):
            client.do(m.TapeOpenRequest(device=f"nrst{number}a", mode=TapeOpenMode.RDWR))
        first, second, third = users
        first.do(local)
        second.do(remote)
        connect = m.MoverConnectRequest(mode=MoverMode.READ, addr=address)
        for request in (local, remote, connect):
            assert third.errors(request) == (0, NdmpError.DEVICE_BUSY_ERR)
            for text in ("Could not initialize media", "Resource limitation: no available thread"):
                assert third.post(m.LogMessagePost).entry.startswith(f"{text} [")
        first.do(m.MoverAbortRequest())
        third.do(local)


@pytest.mark.requirement("R313")
@pytest.mark.parametrize("condition", [Condition.HARDWARE_ERROR, Condition.MEDIUM_ERROR])
def test_a_drive_or_tape_that_is_damaged_cannot_be_initialized(
    tmp_path: Path, condition: Condition
) -> None:
    with memory_stack(tmp_path) as stack, stack.client() as client:
        stack.tapes.failures["status"] = condition
        request = m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR)
        assert client.errors(request) == (0, NdmpError.IO_ERR)
        assert client.post(m.LogMessagePost).entry.startswith("Could not initialize media")
        stack.tapes.failures.clear()
        client.do(request)


@pytest.mark.requirement("R208")
@pytest.mark.requirement("R210")
@pytest.mark.requirement("R314")
def test_an_engine_takes_no_more_jobs_than_its_limit(tmp_path: Path) -> None:
    limits = "[ndmp_v4]\nsessions = 5\ndump_sessions = 2"
    with memory_stack(tmp_path, limits) as stack, ExitStack() as clients:
        (stack.volume / "large").write_bytes(bytes(range(256)) * (32 << 12))
        first, second, third, other = (clients.enter_context(connected(stack)) for _ in range(4))
        first.do(dump())
        second.do(dump())
        assert third.errors(dump()) == (0, NdmpError.DEVICE_BUSY_ERR)
        told = third.post(m.LogMessagePost).entry
        assert told.startswith("Maximum number of allowed dumps or restores (2) in progress")
        recover = m.DataStartRecoverRequest(
            env=(Pair("FILESYSTEM", VOLUME),),
            nlist=(m.Name(original_path="", destination_path=f"{VOLUME}/x"),),
            butype_name="dump",
        )
        assert third.errors(recover) == (0, NdmpError.DEVICE_BUSY_ERR)
        assert third.states()[0] is DataState.CONNECTED
        other.do(dump("memory"))
        first.do(m.DataAbortRequest())
        first.do(m.DataStopRequest())
        third.do(dump())


def test_a_job_that_could_not_begin_does_not_count(tmp_path: Path) -> None:
    with (
        memory_stack(tmp_path, "[ndmp_v4]\ndump_sessions = 1") as stack,
        connected(stack) as client,
    ):
        bad = m.DataStartBackupRequest(butype_name="dump", env=(Pair("FILESYSTEM", "/vs1/none"),))
        for _ in range(3):
            assert client.errors(bad) == (0, NdmpError.ILLEGAL_ARGS_ERR)
        client.do(dump())


def test_a_session_that_goes_makes_room(tmp_path: Path) -> None:
    with memory_stack(tmp_path, "[ndmp_v4]\ndump_sessions = 1") as stack:
        (stack.volume / "large").write_bytes(bytes(range(256)) * (32 << 12))
        for _ in range(3):
            with connected(stack) as client:
                client.do(dump())
            stack.until_free()


def test_a_stack_that_ends_says_goodbye(tmp_path: Path) -> None:
    with memory_stack(tmp_path) as stack, stack.client() as client:
        client.post(m.NotifyConnectionStatusPost)
        stack.begin_stop()
        post = client.post(m.NotifyConnectionStatusPost)
        assert post.reason == ConnectionStatusReason.SHUTDOWN
        assert post.text_reason == "The server shuts down"
        with pytest.raises(Lost):
            client.post(m.NotifyDataHaltedPost)


def test_a_stack_that_ends_lets_jobs_finish_and_takes_no_new_session(tmp_path: Path) -> None:
    with memory_stack(tmp_path) as stack, connected(stack) as client, stack.client() as idle:
        stack.engine.gate.clear()
        start(client, 100)
        stack.begin_stop()
        while not stack.kernel.draining.is_set():
            client.states()
        with PlainClient(stack.port) as late:
            greeting = late.post(m.NotifyConnectionStatusPost)
            assert greeting.reason == ConnectionStatusReason.REFUSED
            assert "shutting down" in greeting.text_reason
        stack.engine.gate.set()
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.SUCCESSFUL
        assert client.states() == (DataState.HALTED, MoverState.IDLE)
        client.post(m.NotifyConnectionStatusPost)
        client.do(m.DataStopRequest())
        for each in (client, idle):
            while each.post(m.NotifyConnectionStatusPost).reason != ConnectionStatusReason.SHUTDOWN:
                pass


def test_a_defect_in_an_engine_costs_one_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        memory_stack(tmp_path, "[ndmp_v4]\nsessions = 2") as stack,
        stack.client() as witness,
        connected(stack) as client,
    ):
        stack.engine.defects.add("prepare")
        assert client.errors(dump("memory")) == (0, NdmpError.UNDEFINED_ERR)
        assert client.states() == (DataState.CONNECTED, MoverState.IDLE)
        stack.engine.defects.clear()
        client.do(dump("memory"))
        assert witness.states() == (DataState.IDLE, MoverState.IDLE)
    assert "a defect on cue" in caplog.text


def test_a_job_that_cannot_be_freed_does_not_keep_the_drive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with memory_stack(tmp_path) as stack:
        with stack.client() as client, listening() as (address, _):
            client.do(m.TapeOpenRequest(device="nrst0a", mode=1))
            client.do(m.DataConnectRequest(addr=address))
            start(client, 10)
            stack.engine.defects.add("close")
            client.post(m.NotifyDataHaltedPost)
        until_gone(stack, keeping=0)
        assert stack.holders == []
        with stack.client() as client:
            client.do(m.TapeOpenRequest(device="nrst0a", mode=1))
    assert "closing its job failed" in caplog.text


def until_gone(stack: MemoryStack, *, keeping: int) -> None:
    """Wait until only so many sessions are left."""
    plugin = stack.plugin
    with plugin.changed:
        assert plugin.changed.wait_for(lambda: len(plugin.sessions) == keeping, 10)


def test_all_sessions_end_when_the_stack_is_told_twice(tmp_path: Path) -> None:
    with memory_stack(tmp_path) as stack, stack.closed_gates(), connected(stack) as client:
        start(client, 100)
        stack.begin_stop()
        stack.begin_stop_now()
        # The engine is at its gate and hears nothing until it opens.
        threading.Timer(0, stack.open_gates).start()
        with pytest.raises(Lost):
            client.post(m.NotifyMoverHaltedPost)
        stack.until_free()
