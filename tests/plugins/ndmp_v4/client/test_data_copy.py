"""Copies between two data servers, message by message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import CopyPlan, CopyResult, copy_across
from tapekit_ndmp_v4.errors import ConnectionLost, OperationFailed
from tapekit_ndmp_v4.exchanges import EXCHANGES, refusal
from tapekit_ndmp_v4.numbers import AddrType, DataHaltReason, DataState, NdmpError

if TYPE_CHECKING:
    from tests.plugins.ndmp_v4.client.conftest import Script

OK = NdmpError.NO_ERR
ADDR = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=4444, addr_env=()),))
ADDR6 = m.TcpIpv6Addrs(tcp_ipv6_addr=(m.TcpIpv6Addr(ip=bytes(15) + b"\1", port=4444, addr_env=()),))
DONE = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
FAILED = m.NotifyDataHaltedPost(reason=DataHaltReason.INTERNAL_ERROR)
ABORTED = m.NotifyDataHaltedPost(reason=DataHaltReason.ABORTED)
WANTED = m.NotifyDataReadPost(offset=0, length=2**64 - 1)

BACKUP = m.DataStartBackupRequest(butype_name="dump", env=(m.Pair("FILESYSTEM", "/a/b"),))
NAMES = (m.Name(original_path="/", destination_path="/c/d"),)
RECOVER = m.DataStartRecoverRequest(
    butype_name="dump", env=(m.Pair("FILESYSTEM", "/c/d"),), nlist=NAMES
)
PLAN = CopyPlan(backup=(("FILESYSTEM", "/a/b"),), recover=(("FILESYSTEM", "/c/d"),), names=NAMES)


def ok(request: m.Message) -> m.Message:
    return refusal(EXCHANGES.of(type(request)), OK)


class Pair:
    """Both servers of a copy, as scripts."""

    def __init__(
        self, source_scene: Any, source: Script, target_scene: Any, target: Script
    ) -> None:
        self.source, self.target = source, target
        self._scenes = source_scene, target_scene

    def connected(self, kind: AddrType = AddrType.TCP, addr: m.Addr = ADDR) -> Pair:
        self.listening(kind, addr)
        self.source.data_connects(addr)
        self.target.data_is(DataState.CONNECTED)
        return self

    def listening(self, kind: AddrType = AddrType.TCP, addr: m.Addr = ADDR) -> Pair:
        reply = m.DataListenReply(error=OK, connect_addr=addr)
        self.target.dialogue.expect(m.DataListenRequest(addr_type=kind), reply)
        return self

    def cleaned_up(self, source: DataState, target: DataState) -> Pair:
        """What is asked of both after a failure."""
        for script, state in ((self.source, source), (self.target, target)):
            halts = state not in {DataState.IDLE, DataState.HALTED}
            abort = m.DataAbortRequest()
            if halts:
                script.granted(abort)
            else:
                script.refused(abort, NdmpError.ILLEGAL_STATE_ERR)
            script.data_is(DataState.HALTED if halts else state)
            script.refused(m.DataStopRequest(), NdmpError.ILLEGAL_STATE_ERR)
        return self

    async def copy(
        self, nursery: trio.Nursery, plan: CopyPlan = PLAN, **options: Any
    ) -> CopyResult:
        source, target = self._scenes
        nursery.start_soon(source.dialogue.run)
        nursery.start_soon(target.dialogue.run)
        return await copy_across(source.client, target.client, plan, **options)

    async def goodbye(self) -> None:
        """Both scripts must have been played to their ends."""
        for scene in self._scenes:
            await scene.client.close()
            assert scene.dialogue.said_goodbye


@pytest.fixture
def pair(scene: Any, script: Script, other_scene: Any, tape_script: Script) -> Pair:
    return Pair(scene, script, other_scene, tape_script)


@pytest.mark.requirement("R084")
@pytest.mark.parametrize("is_source_first", [True, False])
async def test_a_copy(pair: Pair, nursery: trio.Nursery, is_source_first: bool) -> None:
    pair.connected()
    pair.target.dialogue.expect(RECOVER, ok(RECOVER), WANTED, *([] if is_source_first else [DONE]))
    pair.source.dialogue.expect(BACKUP, ok(BACKUP), DONE)
    if is_source_first:
        pair.target.dialogue.post(DONE)
    pair.source.data_is(DataState.HALTED, 70_000).granted(m.DataStopRequest())
    pair.target.granted(m.DataStopRequest())
    result = await pair.copy(nursery)
    assert (result.kind, result.bytes_processed) == (AddrType.TCP, 70_000)
    await pair.goodbye()


async def test_the_listener_is_given_time_to_see_the_connection(
    pair: Pair, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    pair.listening().source.data_connects(ADDR)
    pair.target.data_is(DataState.LISTEN).data_is(DataState.LISTEN).data_is(DataState.CONNECTED)
    pair.target.dialogue.expect(RECOVER, ok(RECOVER), DONE)
    pair.source.dialogue.expect(BACKUP, ok(BACKUP), DONE)
    pair.source.data_is(DataState.HALTED, 1).granted(m.DataStopRequest())
    pair.target.granted(m.DataStopRequest())
    assert (await pair.copy(nursery)).bytes_processed == 1
    await pair.goodbye()


@pytest.mark.requirement("R094")
@pytest.mark.parametrize("is_refused_by_source", [True, False])
async def test_the_next_kind_of_connection_is_tried(
    pair: Pair, nursery: trio.Nursery, is_refused_by_source: bool
) -> None:
    if is_refused_by_source:
        pair.listening(AddrType.TCP_IPV6, ADDR6)
        pair.source.refused(m.DataConnectRequest(addr=ADDR6), NdmpError.CONNECT_ERR)
        pair.target.granted(m.DataAbortRequest(), m.DataStopRequest())
    else:
        request = m.DataListenRequest(addr_type=AddrType.TCP_IPV6)
        pair.target.refused(request, NdmpError.ILLEGAL_ARGS_ERR)
        pair.target.refused(m.DataAbortRequest(), NdmpError.ILLEGAL_STATE_ERR)
        pair.target.refused(m.DataStopRequest(), NdmpError.ILLEGAL_STATE_ERR)
    pair.source.refused(m.DataAbortRequest(), NdmpError.ILLEGAL_STATE_ERR)
    pair.source.refused(m.DataStopRequest(), NdmpError.ILLEGAL_STATE_ERR)
    pair.connected()
    pair.target.dialogue.expect(RECOVER, ok(RECOVER), DONE)
    pair.source.dialogue.expect(BACKUP, ok(BACKUP), DONE)
    pair.source.data_is(DataState.HALTED).granted(m.DataStopRequest())
    pair.target.granted(m.DataStopRequest())
    plan = msgspec.structs.replace(PLAN, kinds=(AddrType.TCP_IPV6, AddrType.TCP))
    assert (await pair.copy(nursery, plan)).kind is AddrType.TCP
    await pair.goodbye()


async def test_without_any_data_connection_the_attempts_are_told(
    pair: Pair, nursery: trio.Nursery
) -> None:
    request = m.DataListenRequest(addr_type=AddrType.TCP)
    pair.target.refused(request, NdmpError.ILLEGAL_ARGS_ERR)
    for script in (pair.target, pair.source):
        script.refused(m.DataAbortRequest(), NdmpError.ILLEGAL_STATE_ERR)
        script.refused(m.DataStopRequest(), NdmpError.ILLEGAL_STATE_ERR)
    pair.cleaned_up(DataState.IDLE, DataState.IDLE)
    with pytest.raises(OperationFailed) as failed:
        await pair.copy(nursery)
    assert str(failed.value) == (
        "there is no data connection between source and destination (TCP: the destination of the "
        "copy at memory refuses DATA_LISTEN: ILLEGAL_ARGS_ERR)"
    )
    await pair.goodbye()


async def test_a_connection_that_the_listener_never_sees_is_given_up(
    pair: Pair, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    pair.listening().source.data_connects(ADDR)
    pair.target.dialogue.answer_with(m.DataGetStateRequest(), lambda _request: b"")
    for script in (pair.source, pair.target):
        script.granted(m.DataAbortRequest(), m.DataStopRequest())
    pair.cleaned_up(DataState.IDLE, DataState.IDLE)
    with pytest.raises(OperationFailed, match="has not taken in the data connection within 30 s"):
        await pair.copy(nursery)
    await pair.goodbye()


async def test_a_refusal_tells_the_side_and_lets_both_go(pair: Pair, nursery: trio.Nursery) -> None:
    pair.connected()
    pair.source.refused(BACKUP, NdmpError.ILLEGAL_ARGS_ERR)
    pair.cleaned_up(DataState.CONNECTED, DataState.CONNECTED)
    with pytest.raises(OperationFailed) as failed:
        await pair.copy(nursery)
    assert str(failed.value) == (
        "the source of the copy at memory refuses DATA_START_BACKUP: ILLEGAL_ARGS_ERR"
    )
    await pair.goodbye()


@pytest.mark.parametrize("fails", ["source", "target"])
async def test_a_side_that_fails_ends_the_other(
    pair: Pair, nursery: trio.Nursery, fails: str
) -> None:
    pair.connected()
    source_fails = fails == "source"
    pair.target.dialogue.expect(RECOVER, ok(RECOVER), *([] if source_fails else [FAILED]))
    pair.source.dialogue.expect(BACKUP, ok(BACKUP), *([FAILED] if source_fails else []))
    other = pair.target if source_fails else pair.source
    other.dialogue.expect(m.DataAbortRequest(), ok(m.DataAbortRequest()), ABORTED)
    pair.cleaned_up(DataState.HALTED, DataState.HALTED)
    with pytest.raises(OperationFailed) as failed:
        await pair.copy(nursery)
    words = ("INTERNAL_ERROR", "ABORTED") if source_fails else ("ABORTED", "INTERNAL_ERROR")
    assert str(failed.value) == (
        "the copy ended early: the source halted with {}, the destination with {}".format(*words)
    )
    await pair.goodbye()


@pytest.mark.parametrize("lost", ["source", "target"])
async def test_a_lost_session_ends_the_other(pair: Pair, nursery: trio.Nursery, lost: str) -> None:
    pair.connected()
    pair.target.dialogue.expect(RECOVER, ok(RECOVER))
    pair.source.dialogue.expect(BACKUP, ok(BACKUP))
    gone, other = (pair.source, pair.target) if lost == "source" else (pair.target, pair.source)
    gone.dialogue.hang_up()
    other.granted(m.DataAbortRequest()).data_is(DataState.HALTED).granted(m.DataStopRequest())
    with pytest.raises(ConnectionLost):
        await pair.copy(nursery)


async def test_a_copy_that_is_cancelled_lets_both_go(pair: Pair, nursery: trio.Nursery) -> None:
    pair.connected()
    pair.target.dialogue.expect(RECOVER, ok(RECOVER))
    pair.source.dialogue.expect(BACKUP, ok(BACKUP))
    pair.source.data_is(DataState.ACTIVE, 5)
    for script in (pair.source, pair.target):
        script.granted(m.DataAbortRequest())
        # One is slow to halt.
        script.data_is(DataState.ACTIVE).data_is(DataState.HALTED).granted(m.DataStopRequest())
    plan = msgspec.structs.replace(PLAN, poll_every_s=0.01)
    with trio.CancelScope() as scope:
        await pair.copy(nursery, plan, on_state=lambda _state: scope.cancel())
    assert scope.cancelled_caught
    await pair.goodbye()


async def test_a_server_that_stands_still_is_given_up(
    pair: Pair, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Patience counts from the last byte after the other side has halted."""
    pair.connected()
    pair.target.dialogue.expect(RECOVER, ok(RECOVER))
    pair.source.dialogue.expect(BACKUP, ok(BACKUP), DONE)
    for processed in (1, 2, 2, 2, 2, 2):
        pair.target.data_is(DataState.ACTIVE, processed)
    pair.cleaned_up(DataState.HALTED, DataState.ACTIVE)
    plan = msgspec.structs.replace(PLAN, poll_every_s=200.0)
    with pytest.raises(TapekitError) as failed:
        await pair.copy(nursery, plan)
    assert failed.value.id == "ndmp_v4.copy-stands-still"
    assert "the destination of the copy at memory stands still" in str(failed.value)
    await pair.goodbye()
