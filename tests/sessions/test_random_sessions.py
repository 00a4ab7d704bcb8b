"""Random sessions: whatever a client asks in whatever order, model and server agree.

Data moves through a real ring or a real socket onto a tape in memory. After
each step the server must have come to the states that the model predicts,
have told exactly what the model says, and have the same on its tape.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from joint_states import reachable
from memory_stack import MemoryStack, image, memory_stack
from plain_client import PlainClient, tcp_address
from session_model import RECORD, Model
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataOperation,
    DataState,
    MoverMode,
    MoverPauseReason,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Message, Pair

if TYPE_CHECKING:
    from collections.abc import Callable

D, M, E = DataState, MoverState, NdmpError

LENGTHS = st.sampled_from([0, 1, RECORD, RECORD + 1, 5 * RECORD, 20 * RECORD - 3])
RECORDS = st.integers(0, 8)
TAPES = st.sampled_from([(None, 0), (4 * RECORD, RECORD), (9 * RECORD, 0), (RECORD, RECORD)])
NEWS = (m.NotifyDataHaltedPost, m.NotifyMoverHaltedPost, m.NotifyMoverPausedPost)


class Sessions(RuleBasedStateMachine):
    """One session of one client, and the model beside it."""

    stack: ClassVar[MemoryStack]
    seen: ClassVar[set[tuple[DataState, MoverState, MoverPauseReason]]] = set()

    @initialize()
    def connect(self) -> None:
        self.model = Model()
        self.stack.tapes.inserted[0] = MemoryTape()
        self.exits = contextlib.ExitStack()
        self.client: PlainClient = self.exits.enter_context(self.stack.client())
        self.client.do(m.MoverSetRecordSizeRequest(len=RECORD))
        self.port = 0

    def teardown(self) -> None:
        if hasattr(self, "exits"):
            self.exits.close()
            self.stack.until_free()

    # Asking, and comparing afterwards.

    def ask(self, request: Message, error: NdmpError, effect: Callable[[], object]) -> None:
        """Ask; the tables say whether the states allow it, ``error`` what
        else is wrong with it. If nothing is, the model does it too.
        """
        row = EXCHANGES.of(type(request))
        if not row.is_legal(self.model.data.state, self.model.mover.state):
            error = E.ILLEGAL_STATE_ERR
        answer = self.client.ask(request)
        body: Any = getattr(answer, "body", None)
        assert body is not None, (request, answer)
        assert body.error == error, (request, body, self.model.data, self.model.mover)
        if error == E.NO_ERR:
            self.answer = body
            effect()
        self.compare()
        self.seen.add((self.model.data.state, self.model.mover.state, self.model.pause))

    def compare(self) -> None:
        model, client = self.model, self.client
        client.until(model.data.state, model.mover.state)
        while model.mover.state is M.ACTIVE and self.moved() != model.moved:
            continue
        mover = client.do(m.MoverGetStateRequest())
        told = (mover.mode, mover.pause_reason, mover.halt_reason, mover.bytes_moved)
        assert told == (model.mode, model.pause, model.mover_halt, model.moved)
        assert (mover.window_offset, mover.window_length) == model.window
        data = client.do(m.DataGetStateRequest())
        assert (data.operation, data.halt_reason) == (model.operation, model.data_halt)
        posts = [post for post in client.posts if isinstance(post, NEWS)]
        client.posts.clear()
        assert Counter(map(repr, posts)) == Counter(map(repr, model.posts))
        model.posts.clear()
        tape = self.stack.tapes.inserted[0]
        assert tape is not None
        assert tape.items == model.tape.items

    def moved(self) -> int:
        moved: int = self.client.do(m.MoverGetStateRequest()).bytes_moved
        return moved

    # The tape.

    def _needs_tape(self, mode: MoverMode) -> NdmpError:
        if self.model.drive is None:
            return E.DEV_NOT_OPEN_ERR
        if mode is MoverMode.READ and not self.model.is_writable:
            return E.PERMISSION_ERR
        return E.NO_ERR

    @rule(mode=st.sampled_from([TapeOpenMode.READ, TapeOpenMode.RDWR, TapeOpenMode.RDWR]))
    def open_tape(self, mode: TapeOpenMode) -> None:
        error = E.NO_ERR if self.model.drive is None else E.DEVICE_OPENED_ERR
        self.ask(
            m.TapeOpenRequest(device="nrst0a", mode=mode),
            error,
            lambda: self.model.open_tape(is_writable=mode is TapeOpenMode.RDWR),
        )

    @rule(size=TAPES)
    def close_tape(self, size: tuple[int | None, int]) -> None:
        """Close the tape, rewinding or not, and sometimes put another one in."""
        error = E.DEV_NOT_OPEN_ERR if self.model.drive is None else E.NO_ERR

        def change() -> None:
            self.model.close_tape()
            capacity, warning = size
            if capacity is not None:
                self.stack.tapes.inserted[0] = MemoryTape(capacity=capacity, early_warning=warning)
                self.model.change_tape(MemoryTape(capacity=capacity, early_warning=warning))

        self.ask(m.TapeCloseRequest(), error, change)

    @rule(
        op=st.sampled_from([MtioOp.FSF, MtioOp.BSF, MtioOp.FSR, MtioOp.BSR, MtioOp.REW]),
        count=st.integers(0, 5),
    )
    def move_tape(self, op: MtioOp, count: int) -> None:
        drive = self.model.drive

        def move() -> None:
            assert drive is not None
            done = {
                MtioOp.FSF: lambda: drive.space_filemarks(count),
                MtioOp.BSF: lambda: drive.space_filemarks(-count),
                MtioOp.FSR: lambda: drive.space_records(count),
                MtioOp.BSR: lambda: drive.space_records(-count),
                MtioOp.REW: lambda: drive.rewind() or count,
            }[op]()
            assert self.answer.resid_count == count - done

        error = E.DEV_NOT_OPEN_ERR if drive is None else E.NO_ERR
        self.ask(m.TapeMtioRequest(tape_op=op, count=count), error, move)

    @rule(count=st.integers(0, 2))
    def write_filemarks(self, count: int) -> None:
        drive = self.model.drive

        def write() -> None:
            assert drive is not None
            drive.write_filemarks(count)

        request = m.TapeMtioRequest(tape_op=MtioOp.EOF, count=count)
        self.ask(request, self._needs_tape(MoverMode.READ), write)

    # Connecting.

    @rule(local=st.booleans())
    def data_listen(self, local: bool) -> None:
        def listen() -> None:
            self.model.data_listen(local=local)
            self.port = 0 if local else self.answer.connect_addr.tcp_addr[0].port

        kind = AddrType.LOCAL if local else AddrType.TCP
        self.ask(m.DataListenRequest(addr_type=kind), E.NO_ERR, listen)

    @rule(mode=st.sampled_from([MoverMode.READ, MoverMode.WRITE]), local=st.booleans())
    def mover_listen(self, mode: MoverMode, local: bool) -> None:
        def listen() -> None:
            self.model.mover_listen(mode, local=local)
            self.port = 0 if local else self.answer.connect_addr.tcp_addr[0].port

        kind = AddrType.LOCAL if local else AddrType.TCP
        request = m.MoverListenRequest(mode=mode, addr_type=kind)
        self.ask(request, self._needs_tape(mode), listen)

    @rule()
    def data_connect_locally(self) -> None:
        error = E.NO_ERR if self.model.mover_listens_locally else E.ILLEGAL_STATE_ERR
        self.ask(m.DataConnectRequest(addr=m.LocalAddr()), error, self.model.join_by_data)

    @rule(mode=st.sampled_from([MoverMode.READ, MoverMode.WRITE]))
    def mover_connect_locally(self, mode: MoverMode) -> None:
        error = self._needs_tape(mode)
        if not self.model.data_listens_locally:
            error = E.ILLEGAL_STATE_ERR
        self.ask(
            m.MoverConnectRequest(mode=mode, addr=m.LocalAddr()),
            error,
            lambda: self.model.join_by_mover(mode),
        )

    @rule(is_mover=st.booleans())
    def connect_to_nobody(self, is_mover: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            address = tcp_address(closed.getsockname()[1])
        error = E.CONNECT_ERR
        if (self.model.data.state, self.model.mover.state) != (D.IDLE, M.IDLE):
            error = E.ILLEGAL_STATE_ERR
        elif is_mover and self.model.drive is None:
            error = E.DEV_NOT_OPEN_ERR
        request = (
            m.MoverConnectRequest(mode=MoverMode.WRITE, addr=address)
            if is_mover
            else m.DataConnectRequest(addr=address)
        )
        self.ask(request, error, lambda: None)

    @precondition(lambda self: self.model.data.state is D.LISTEN and self.port)
    @rule(length=LENGTHS)
    def peer_takes_a_backup(self, length: int) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 10) as peer:
            self.model.peer_joins_data()
            self.compare()
            self._start_backup(length)
            data = b""
            while part := peer.recv(65536):
                data += part
        assert data == image(length)
        self.compare()

    @precondition(lambda self: self.model.mover.state is M.LISTEN and self.port)
    @precondition(lambda self: self.model.mode is MoverMode.READ)
    @precondition(lambda self: self.model.drive is not None and self.model.is_writable)
    @rule(length=LENGTHS)
    def peer_sends_a_stream(self, length: int) -> None:
        with socket.create_connection(("127.0.0.1", self.port), 10) as peer:
            peer.sendall(image(length))
        self.model.peer_sends_to_mover(length)
        self.compare()

    @precondition(lambda self: self.model.mover.state is M.IDLE)
    @precondition(lambda self: self.model.data.state is D.IDLE)
    @precondition(lambda self: self.model.drive is not None and self.model.is_writable)
    @rule(records=st.integers(1, 3))
    def peer_sends_more_than_a_window_holds(self, records: int) -> None:
        self.set_window(0, records)
        self.mover_listen(MoverMode.READ, local=False)
        self.peer_sends_a_stream((records + 2) * RECORD)

    # Working.

    def _mode_error(self, mode: MoverMode) -> NdmpError:
        """Over a local connection the mover must be active in that mode."""
        model = self.model
        if model.is_joined and (model.mover.state is not M.ACTIVE or model.mode is not mode):
            return E.ILLEGAL_STATE_ERR
        return E.NO_ERR

    def _start_backup(self, length: int) -> None:
        request = m.DataStartBackupRequest(butype_name="memory", env=(Pair("BYTES", str(length)),))
        error = self._mode_error(MoverMode.READ)
        self.ask(request, error, lambda: self.model.start_backup(length))

    @rule(length=LENGTHS)
    def start_backup(self, length: int) -> None:
        self._start_backup(length)

    @rule()
    def start_recover(self) -> None:
        request = m.DataStartRecoverRequest(env=(), nlist=(), butype_name="memory")
        self.ask(request, self._mode_error(MoverMode.WRITE), self.model.start_recover)

    @rule(offset=RECORDS, length=RECORDS | st.none())
    def set_window(self, offset: int, length: int | None) -> None:
        start, size = offset * RECORD, UNLIMITED if length is None else length * RECORD
        self.ask(
            m.MoverSetWindowRequest(offset=start, length=size),
            E.NO_ERR,
            lambda: self.model.set_window(start, size),
        )

    @precondition(lambda self: self.model.mover.state is M.PAUSED)
    @rule()
    def set_window_where_it_stands(self) -> None:
        """What a client does before it continues on the same tape."""
        position = self.model.position
        self.ask(
            m.MoverSetWindowRequest(offset=position, length=UNLIMITED),
            E.NO_ERR,
            lambda: self.model.set_window(position, UNLIMITED),
        )

    @rule()
    def continue_(self) -> None:
        error = self._needs_tape(self.model.mode)
        if error == E.NO_ERR and self.model.mover.state is M.PAUSED and self.model.is_cut:
            self._continue_into_nothing()
            return
        self.ask(m.MoverContinueRequest(), error, self.model.resume)

    def _continue_into_nothing(self) -> None:
        self.client.do(m.MoverContinueRequest())
        self.client.until(self.model.data.state, M.HALTED)
        self.model.resume_into_nothing(self.moved())
        self.compare()
        self.close_tape((None, 0))

    @rule(offset=st.integers(0, 5000), length=st.integers(0, 5000))
    def read(self, offset: int, length: int) -> None:
        """No mover here is one that a client may ask for data."""
        self.ask(
            m.MoverReadRequest(offset=offset, length=length), E.ILLEGAL_STATE_ERR, lambda: None
        )

    # Whole beginnings, since single steps seldom come in this order.

    @precondition(lambda self: (self.model.data.state, self.model.mover.state) == (D.IDLE, M.IDLE))
    @rule(
        mode=st.sampled_from([MoverMode.READ, MoverMode.WRITE]),
        length=LENGTHS,
        window=st.sampled_from([None, 0, 1, 3, None]),
        rewinds=st.booleans(),
        size=TAPES,
    )
    def begin_locally(
        self,
        mode: MoverMode,
        length: int,
        window: int | None,
        rewinds: bool,
        size: tuple[int | None, int],
    ) -> None:
        if self.model.drive is None:
            self.open_tape(TapeOpenMode.READ)
        self.close_tape(size if mode is MoverMode.READ else (None, 0))
        self.open_tape(TapeOpenMode.RDWR)
        if rewinds:
            self.move_tape(MtioOp.REW, 1)
        self.set_window(0, window)
        self.mover_listen(mode, True)
        self.data_connect_locally()
        if mode is MoverMode.READ:
            self.start_backup(length)
        else:
            self.start_recover()

    # Ending.

    @rule()
    def abort_data(self) -> None:
        self.ask(m.DataAbortRequest(), E.NO_ERR, self.model.abort_data)

    @rule()
    def stop_data(self) -> None:
        self.ask(m.DataStopRequest(), E.NO_ERR, self.model.stop_data)

    @rule()
    def get_environment(self) -> None:
        is_backup = self.model.operation is DataOperation.BACKUP
        error = E.NO_ERR if is_backup else E.ILLEGAL_STATE_ERR
        self.ask(m.DataGetEnvRequest(), error, lambda: None)

    @rule()
    def abort_mover(self) -> None:
        self.ask(m.MoverAbortRequest(), E.NO_ERR, self.model.abort_mover)

    @rule()
    def close_mover(self) -> None:
        def close() -> None:
            restores = self.model.data.state is D.ACTIVE and self.model.mode is MoverMode.WRITE
            self.model.close_mover()
            if restores:
                self.client.until(self.model.data.state, self.model.mover.state)
                assert b"".join(self.stack.engine.restored) == self.model.sent

        self.ask(m.MoverCloseRequest(), E.NO_ERR, close)

    @rule()
    def stop_mover(self) -> None:
        self.ask(m.MoverStopRequest(), E.NO_ERR, self.model.stop_mover)


@pytest.mark.slow
def test_random_sessions_agree_with_the_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    with memory_stack(tmp_path_factory.mktemp("stack")) as stack:
        Sessions.stack = stack
        run_state_machine_as_test(
            Sessions,
            settings=settings(
                max_examples=200,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
                # Shrinking takes minutes; a session that fails is shown whole.
                phases=(Phase.generate,),
            ),
        )
    seen = {(data, mover) for data, mover, _ in Sessions.seen}
    assert seen <= reachable()
    # Which of the rarer pauses come is a matter of luck; test_pauses.py has them all.
    assert len({pause for _, _, pause in Sessions.seen}) > 2
