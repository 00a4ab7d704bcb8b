"""The usual requests of a transfer, as a script for the server's side."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.client import TapeAt
from tapekit_ndmp_v4.exchanges import EXCHANGES, refusal
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataState,
    MoverMode,
    MoverState,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)

OK = NdmpError.NO_ERR
ENV = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"))
SAVED = (*ENV, ("DUMP_DATE", "7"))
FIRST = TapeAt("nrst0a", 2)


def pairs(plain: tuple[tuple[str, str], ...]) -> tuple[m.Pair, ...]:
    return tuple(m.Pair(*pair) for pair in plain)


def data_state(state: DataState, processed: int = 0) -> m.DataGetStateReply:
    return msgspec.structs.replace(
        xdr.zero(m.DataGetStateReply), state=state, bytes_processed=processed
    )


def mover_state(state: MoverState, moved: int = 0) -> m.MoverGetStateReply:
    return msgspec.structs.replace(xdr.zero(m.MoverGetStateReply), state=state, bytes_moved=moved)


class Script:
    """Writes the usual requests of an operation into a dialogue; the tape is
    file 2 of nrst0a, the environment that of a level 0 of /vs1/vol1.
    """

    def __init__(self, dialogue: Any) -> None:
        self.dialogue = dialogue

    def granted(self, *requests: m.Message) -> Script:
        """Requests whose replies say no error and nothing else."""
        for request in requests:
            self.dialogue.expect(request, refusal(EXCHANGES.of(type(request)), OK))
        return self

    def refused(self, request: m.Message, error: NdmpError) -> Script:
        self.dialogue.expect(request, refusal(EXCHANGES.of(type(request)), error))
        return self

    def opened(self, place: TapeAt, mode: TapeOpenMode) -> Script:
        self.granted(m.TapeOpenRequest(device=place.device, mode=mode))
        self.moved(MtioOp.REW, 1)
        return self.moved(MtioOp.FSF, place.file) if place.file else self

    def moved(self, op: MtioOp, count: int) -> Script:
        return self.granted(m.TapeMtioRequest(tape_op=op, count=count))

    def window(self, offset: int, length: int) -> Script:
        return self.granted(m.MoverSetWindowRequest(offset=offset, length=length))

    def prepared(self, mode: MoverMode, offset: int = 0, length: int = UNLIMITED) -> Script:
        self.granted(m.MoverSetRecordSizeRequest(len=65536))
        backup = mode is MoverMode.READ
        self.opened(FIRST, TapeOpenMode.RDWR if backup else TapeOpenMode.READ)
        return self.window(offset, length)

    def mover_listens(self, mode: MoverMode, kind: AddrType, addr: m.Addr) -> Script:
        self.dialogue.expect(
            m.MoverListenRequest(mode=mode, addr_type=kind),
            m.MoverListenReply(error=OK, connect_addr=addr),
        )
        return self

    def data_connects(self, addr: m.Addr) -> Script:
        return self.granted(m.DataConnectRequest(addr=addr))

    def backup_starts(self, *posts: m.Message) -> Script:
        self.dialogue.expect(
            m.DataStartBackupRequest(butype_name="dump", env=pairs(ENV)),
            m.DataStartBackupReply(error=OK),
            *posts,
        )
        return self

    def recovery_starts(self, *posts: m.Message, names: tuple[m.Name, ...] = ()) -> Script:
        self.dialogue.expect(
            m.DataStartRecoverRequest(butype_name="dump", env=pairs(SAVED), nlist=names),
            m.DataStartRecoverReply(error=OK),
            *posts,
        )
        return self

    def environment_given(self) -> Script:
        self.dialogue.expect(m.DataGetEnvRequest(), m.DataGetEnvReply(error=OK, env=pairs(SAVED)))
        return self

    def data_is(self, state: DataState, processed: int = 0) -> Script:
        self.dialogue.expect(m.DataGetStateRequest(), data_state(state, processed))
        return self

    def mover_is(self, state: MoverState, moved: int = 0) -> Script:
        self.dialogue.expect(m.MoverGetStateRequest(), mover_state(state, moved))
        return self

    def tape_closed(self) -> Script:
        return self.moved(MtioOp.REW, 1).granted(m.TapeCloseRequest())

    def stopped(self) -> Script:
        return self.granted(m.DataStopRequest(), m.MoverStopRequest())

    def cleaned_up(self, illegal: NdmpError = NdmpError.ILLEGAL_STATE_ERR) -> Script:
        """What a failed operation asks of servers that are idle already."""
        self.refused(m.DataAbortRequest(), illegal)
        self.refused(m.MoverAbortRequest(), illegal)
        self.data_is(DataState.HALTED).mover_is(MoverState.HALTED)
        return self.stopped().granted(m.TapeCloseRequest())


@pytest.fixture
def script(scene: Any) -> Script:
    return Script(scene.dialogue)


@pytest.fixture
def tape_script(other_scene: Any) -> Script:
    return Script(other_scene.dialogue)


@pytest.fixture
def local_recovery(script: Script) -> Script:
    """A restore on one session, up to its start."""
    script.prepared(MoverMode.WRITE, 0, 1000)
    script.mover_listens(MoverMode.WRITE, AddrType.LOCAL, m.LocalAddr())
    return script.data_connects(m.LocalAddr())
