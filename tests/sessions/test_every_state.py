"""Every request of the exchange table in every pair of states that can be reached.

What a session must answer is read from the tables; what requests need beside
a legal state stands here in one list. Requests that change nothing, and all
that are refused, are asked one after another in one session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from joint_states import RECIPES, RECORD, reachable, session_in
from memory_stack import memory_stack
from plain_client import listening
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.connection import HeaderError, Reply
from tapekit_ndmp_v4.data_state import TRANSITIONS as DATA
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.dispatch import HANDLERS
from tapekit_ndmp_v4.exchanges import EXCHANGES, Exchange, refusal
from tapekit_ndmp_v4.joint_state import JOINT
from tapekit_ndmp_v4.mover_state import TRANSITIONS as MOVER
from tapekit_ndmp_v4.mover_state import MoverEvent
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    AuthType,
    DataHaltReason,
    DataState,
    MessageType,
    MoverMode,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.records import marked
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from joint_states import Joint
    from memory_stack import MemoryStack
    from tapekit_ndmp_v4.wire import Message

D, M, E = DataState, MoverState, NdmpError

ADDRESS: Final = m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=1, addr_env=()),))

# One request of each kind, and what it is answered where the tables allow it
# and a tape is open.
ASKED: Final[dict[type[Message], tuple[Message, NdmpError]]] = {
    type(request): (request, error)
    for request, error in (
        (m.ConnectOpenRequest(protocol_version=4), E.NO_ERR),
        (m.ConnectClientAuthRequest(auth_data=m.AuthNone()), E.NO_ERR),
        (m.ConnectServerAuthRequest(client_attr=m.AuthAttrNone()), E.NO_ERR),
        (m.ConfigGetHostInfoRequest(), E.NO_ERR),
        (m.ConfigGetConnectionTypeRequest(), E.NO_ERR),
        (m.ConfigGetAuthAttrRequest(auth_type=AuthType.NONE), E.NO_ERR),
        (m.ConfigGetButypeInfoRequest(), E.NO_ERR),
        (m.ConfigGetFsInfoRequest(), E.NO_ERR),
        (m.ConfigGetTapeInfoRequest(), E.NO_ERR),
        (m.ConfigGetScsiInfoRequest(), E.NO_ERR),
        (m.ConfigGetServerInfoRequest(), E.NO_ERR),
        (
            m.ConfigSetExtListRequest(
                ndmp_selected_ext=(m.ClassVersion(ext_class_id=0x7FFF, ext_version=1),)
            ),
            E.CLASS_NOT_SUPPORTED_ERR,
        ),
        (m.ConfigGetExtListRequest(), E.NO_ERR),
        (m.ScsiOpenRequest(device="mc0"), E.DEVICE_OPENED_ERR),
        (m.ScsiCloseRequest(), E.DEV_NOT_OPEN_ERR),
        (m.ScsiGetStateRequest(), E.DEV_NOT_OPEN_ERR),
        (m.ScsiResetDeviceRequest(), E.DEV_NOT_OPEN_ERR),
        (m.ScsiExecuteCdbRequest(flags=0, timeout=0, datain_len=0, cdb=bytes(6), dataout=b""),
         E.DEV_NOT_OPEN_ERR),
        (m.TapeOpenRequest(device="nrst1a", mode=TapeOpenMode.READ), E.DEVICE_OPENED_ERR),
        (m.TapeCloseRequest(), E.NO_ERR),
        (m.TapeGetStateRequest(), E.NO_ERR),
        (m.TapeMtioRequest(tape_op=MtioOp.TUR, count=1), E.NO_ERR),
        (m.TapeWriteRequest(data_out=b"record"), E.NO_ERR),
        (m.TapeReadRequest(count=1024), E.EOM_ERR),
        (m.TapeExecuteCdbRequest(flags=0, timeout=0, datain_len=0, cdb=bytes(6), dataout=b""),
         E.NOT_SUPPORTED_ERR),
        (m.DataGetStateRequest(), E.NO_ERR),
        (m.DataStartBackupRequest(butype_name="memory", env=(Pair("BYTES", "0"),)), E.NO_ERR),
        (m.DataStartRecoverRequest(env=(), nlist=(), butype_name="memory"), E.NO_ERR),
        (m.DataAbortRequest(), E.NO_ERR),
        (m.DataGetEnvRequest(), E.NO_ERR),
        (m.DataStopRequest(), E.NO_ERR),
        (m.DataListenRequest(addr_type=AddrType.TCP), E.NO_ERR),
        (m.DataConnectRequest(addr=ADDRESS), E.NO_ERR),
        (m.DataStartRecoverFilehistRequest(env=(), nlist=(), butype_name="memory"), E.NO_ERR),
        (m.MoverGetStateRequest(), E.NO_ERR),
        (m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP), E.NO_ERR),
        (m.MoverContinueRequest(), E.NO_ERR),
        (m.MoverAbortRequest(), E.NO_ERR),
        (m.MoverStopRequest(), E.NO_ERR),
        (m.MoverSetWindowRequest(offset=0, length=UNLIMITED), E.NO_ERR),
        # A mover that writes tape has nothing to send.
        (m.MoverReadRequest(offset=0, length=1), E.ILLEGAL_STATE_ERR),
        (m.MoverCloseRequest(), E.NO_ERR),
        (m.MoverSetRecordSizeRequest(len=RECORD), E.NO_ERR),
        (m.MoverConnectRequest(mode=MoverMode.READ, addr=ADDRESS), E.NO_ERR),
    )
}  # fmt: skip

# Over TCP nobody connects while the other machine is at work, and a mover
# that is joined for a backup takes no restore.
ALSO_ILLEGAL: Final[dict[type[Message], Callable[[DataState, MoverState], bool]]] = {
    m.DataConnectRequest: lambda _data, mover: mover is not M.IDLE,
    m.MoverConnectRequest: lambda data, _mover: data is not D.IDLE,
    m.DataStartRecoverRequest: lambda _data, mover: mover is not M.IDLE,
    m.DataStartRecoverFilehistRequest: lambda _data, mover: mover is not M.IDLE,
}

REQUESTS: Final = [row for row in EXCHANGES if not row.is_post and row.reply is not None]
EVENTS: Final = {event.value: event for kind in (DataEvent, MoverEvent) for event in kind}
STARTS: Final = {"DATA_START_BACKUP", "DATA_START_RECOVER"}
WAIT_FOR_THREADS: Final = (m.DataStopRequest, m.MoverStopRequest, m.MoverCloseRequest)
"""Requests that wait for threads, which are at the gates."""

OWN_NEWS: Final = {
    DataEvent.ACCEPTED,
    DataEvent.HALT,
    MoverEvent.ACCEPTED,
    MoverEvent.PAUSE,
    MoverEvent.HALT,
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStack]:
    with memory_stack(tmp_path_factory.mktemp("stack")) as served:
        yield served


def expected(row: Exchange, joint: Joint) -> tuple[int, int | None]:
    """The errors of header and body that the tables say."""
    if row.request not in HANDLERS:
        return E.NOT_SUPPORTED_ERR, None
    narrower = ALSO_ILLEGAL.get(row.request)
    if not row.is_legal(*joint) or (narrower is not None and narrower(*joint)):
        return E.NO_ERR, E.ILLEGAL_STATE_ERR
    if row.request is m.ConfigSetExtListRequest and joint != (D.IDLE, M.IDLE):
        # Extensions are chosen before any work, not in the middle of it.
        return E.NO_ERR, E.EXT_DN_ILLEGAL_ERR
    return E.NO_ERR, ASKED[row.request][1]


def event_of(row: Exchange) -> DataEvent | MoverEvent | None:
    """What moves a machine when the request is granted."""
    return EVENTS.get("DATA_START_*" if row.name in STARTS else row.name)


def is_granted(row: Exchange, joint: Joint) -> bool:
    return expected(row, joint) == (E.NO_ERR, E.NO_ERR)


def test_there_is_a_request_of_every_kind() -> None:
    assert set(ASKED) == {row.request for row in REQUESTS}


def test_the_recipes_lead_to_every_pair_that_can_be_reached() -> None:
    assert set(RECIPES) == reachable()


@pytest.mark.parametrize("joint", RECIPES, ids=lambda joint: f"{joint[0].name}-{joint[1].name}")
def test_requests_that_move_nothing_are_answered_as_the_tables_say(
    stack: MemoryStack, joint: Joint
) -> None:
    with session_in(stack, joint) as client:
        for row in REQUESTS:
            moves = is_granted(row, joint) and (
                event_of(row) is not None or row.request is m.TapeCloseRequest
            )
            if moves:
                continue
            answer = client.ask(ASKED[row.request][0])
            check_answer(answer, row, joint)
            assert client.states() == joint, row.name


def check_answer(answer: Reply | HeaderError, row: Exchange, joint: Joint) -> None:
    header, body = expected(row, joint)
    if body is None:
        assert isinstance(answer, HeaderError), row.name
        assert answer.error == header, row.name
        return
    assert isinstance(answer, Reply), (row.name, answer)
    assert answer.body.error == body, row.name  # type: ignore[attr-defined]  # every reply has one
    if body != E.NO_ERR:
        assert answer.body == refusal(row, body), row.name


MOVING: Final = [
    pytest.param(joint, row, id=f"{joint[0].name}-{joint[1].name}-{row.name}")
    for joint in RECIPES
    for row in REQUESTS
    if is_granted(row, joint) and event_of(row) is not None
]


@pytest.mark.parametrize(("joint", "row"), MOVING)
def test_requests_that_move_a_machine_move_it_as_the_tables_say(
    stack: MemoryStack, joint: Joint, row: Exchange
) -> None:
    with session_in(stack, joint) as client, listening() as (address, _):
        request = ASKED[row.request][0]
        match request:
            case m.DataConnectRequest():
                request = m.DataConnectRequest(addr=address)
            case m.MoverConnectRequest(mode=mode):
                request = m.MoverConnectRequest(mode=mode, addr=address)
        if isinstance(request, WAIT_FOR_THREADS):
            stack.open_gates()
        check_answer(client.ask(request), row, joint)
        assert client.states() in may_follow(joint, row)


def test_a_backup_outlives_the_mover_that_it_was_joined_to(stack: MemoryStack) -> None:
    with session_in(stack, (DataState.ACTIVE, MoverState.HALTED)) as client:
        client.do(m.MoverStopRequest())
        stack.open_gates()
        assert client.post(m.NotifyDataHaltedPost).reason == DataHaltReason.CONNECT_ERROR
        assert client.states() == (DataState.HALTED, MoverState.IDLE)


def may_follow(joint: Joint, row: Exchange) -> set[Joint]:
    """The pair that the request leads to, and those that news leads to from there."""
    data, mover = joint
    match event_of(row):
        case DataEvent() as event:
            data = DATA[data][event]
        case MoverEvent() as mover_event:
            mover = MOVER[mover][mover_event]
    found: set[Joint] = set()
    waiting = [(data, mover)]
    while waiting:
        present = waiting.pop()
        if present in found:
            continue
        found.add(present)
        waiting += [(state, present[1]) for state in by_news(DATA[present[0]])]
        waiting += [(present[0], state) for state in by_news(MOVER[present[1]])]
    return found - set(JOINT)


def by_news(row: object) -> list[DataState | MoverState]:
    assert isinstance(row, dict)
    return [state for event, state in row.items() if event in OWN_NEWS]


@pytest.mark.parametrize("opens", [True, False], ids=["after CONNECT_OPEN", "without it"])
def test_before_the_login_nothing_that_needs_one_is_looked_at(
    stack: MemoryStack, opens: bool
) -> None:
    with stack.client(logged_in=False) as client:
        if opens:
            client.do(m.ConnectOpenRequest(protocol_version=4))
        for row in REQUESTS:
            if row.request is m.ConnectClientAuthRequest:
                continue
            header, body = expected(row, (D.IDLE, M.IDLE))
            if row.needs_authentication and row.request in HANDLERS:
                header, body = E.NOT_AUTHORIZED_ERR, None
            assert client.errors(ASKED[row.request][0]) == (header, body), row.name
        client.do(m.ConnectClientAuthRequest(auth_data=m.AuthNone()))
        assert client.states() == (D.IDLE, M.IDLE)


def test_a_failed_login_takes_the_right_to_everything_away(stack: MemoryStack) -> None:
    with stack.client() as client:
        text = m.AuthText(auth_id="somebody", auth_password="guess")
        refused = client.errors(m.ConnectClientAuthRequest(auth_data=text))
        assert refused == (0, E.ILLEGAL_ARGS_ERR)
        for row in REQUESTS:
            if row.needs_authentication and row.request in HANDLERS:
                assert client.errors(ASKED[row.request][0]) == (E.NOT_AUTHORIZED_ERR, None), (
                    row.name
                )


def test_posts_from_a_client_are_never_answered(stack: MemoryStack) -> None:
    with stack.client() as client:
        post = m.NotifyDataHaltedPost(reason=DataHaltReason.SUCCESSFUL)
        header = m.Header(
            sequence=9,
            time_stamp=0,
            message_type=MessageType.REQUEST,
            message_code=EXCHANGES.of(type(post)).code,
            reply_sequence=0,
            error_code=E.NO_ERR,
        )
        client.socket.sendall(marked(xdr.encode(header) + xdr.encode(post)))
        assert client.states() == (D.IDLE, M.IDLE)
