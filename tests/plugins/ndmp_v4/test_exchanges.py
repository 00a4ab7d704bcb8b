"""The table of exchanges: codes, legality, logins, refusals."""

from __future__ import annotations

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.exchanges import EXCHANGES, Exchange, ExchangeTable, refusal
from tapekit_ndmp_v4.numbers import DataState, MoverState, NdmpError
from tapekit_ndmp_v4.wire import Message, RequestBody

D, M = DataState, MoverState

ANY = "any"
DATA_STATES = (D.IDLE, D.LISTEN, D.CONNECTED, D.ACTIVE, D.HALTED)
MOVER_STATES = (M.IDLE, M.LISTEN, M.ACTIVE, M.PAUSED, M.HALTED)

# Legal in: idle, listen, connected, active, halted.
DATA_LEGALITY = {
    "DATA_GET_STATE": "yyyyy",
    "DATA_LISTEN": "y----",
    "DATA_CONNECT": "y----",
    "DATA_START_BACKUP": "--y--",
    "DATA_START_RECOVER": "--y--",
    "DATA_START_RECOVER_FILEHIST": "--y--",
    "DATA_ABORT": "-yyy-",
    "DATA_STOP": "----y",
    "DATA_GET_ENV": "---yy",
}

# Legal in: idle, listen, active, paused, halted.
MOVER_LEGALITY = {
    "MOVER_GET_STATE": "yyyyy",
    "MOVER_SET_RECORD_SIZE": "y--y-",
    "MOVER_SET_WINDOW": "y--y-",
    "MOVER_LISTEN": "y----",
    "MOVER_CONNECT": "y----",
    "MOVER_READ": "--y--",
    "MOVER_CONTINUE": "---y-",
    "MOVER_CLOSE": "-yyyy",
    "MOVER_ABORT": "-yyy-",
    "MOVER_STOP": "----y",
    "TAPE_CLOSE": "y--yy",
    "TAPE_GET_STATE": "yy-yy",
    "TAPE_MTIO": "yy-yy",
    "TAPE_WRITE": "yy-yy",
    "TAPE_READ": "yy-yy",
    "TAPE_EXECUTE_CDB": "yy-yy",
}


def row(name: str) -> Exchange:
    return next(each for each in EXCHANGES if each.name == name)


@pytest.mark.requirement("R001")
def test_the_table_has_every_code_of_version_4_and_none_of_older_ones() -> None:
    codes = {each.code for each in EXCHANGES}
    assert codes == {
        *(0x100, 0x102, 0x103, 0x104, 0x105, 0x106, 0x107, 0x108, 0x109, 0x10A),
        *(0x200, 0x201, 0x202, 0x204, 0x206),
        *(0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x307),
        *(0x400, 0x401, 0x402, 0x403, 0x404, 0x407, 0x409, 0x40A, 0x40B),
        *(0x501, 0x502, 0x503, 0x504, 0x505, 0x602, 0x603, 0x703, 0x704, 0x705),
        *(0x900, 0x901, 0x902, 0x903),
        *range(0xA00, 0xA0A),
    }
    assert len(EXCHANGES) == len(codes)


def test_data_requests_are_legal_where_the_document_says() -> None:
    for name, marks in DATA_LEGALITY.items():
        legal = {state for state, mark in zip(DATA_STATES, marks, strict=True) if mark == "y"}
        assert row(name).data == legal, name
    told = {each.name for each in EXCHANGES if each.data != frozenset(D)}
    assert told - set(DATA_LEGALITY) == {"MOVER_LISTEN"}


def test_mover_requests_are_legal_where_the_document_says() -> None:
    for name, marks in MOVER_LEGALITY.items():
        legal = {state for state, mark in zip(MOVER_STATES, marks, strict=True) if mark == "y"}
        assert row(name).mover == legal, name
    told = {each.name for each in EXCHANGES if each.mover != frozenset(M)}
    assert told - set(MOVER_LEGALITY) == {"DATA_LISTEN"}


def test_a_listener_needs_both_machines_idle() -> None:
    for name in ("DATA_LISTEN", "MOVER_LISTEN"):
        for data in D:
            for mover in M:
                legal = (data, mover) == (D.IDLE, M.IDLE)
                assert row(name).is_legal(data, mover) is legal


def test_little_can_be_asked_before_a_login() -> None:
    open_to_all = {each.name for each in EXCHANGES if not each.needs_authentication}
    posts = {each.name for each in EXCHANGES if each.is_post}
    assert open_to_all - posts == {
        *("CONNECT_OPEN", "CONNECT_CLIENT_AUTH", "CONNECT_CLOSE", "CONNECT_SERVER_AUTH"),
        *("CONFIG_GET_SERVER_INFO", "CONFIG_GET_AUTH_ATTR"),
    }


def test_posts_are_the_interfaces_notify_log_and_file_history() -> None:
    for each in EXCHANGES:
        assert each.is_post == (0x500 <= each.code < 0x800)
        has_reply = not each.is_post and each.name != "CONNECT_CLOSE"
        assert (each.reply is not None) == has_reply


def test_rows_are_found_by_code_and_by_every_type() -> None:
    for each in EXCHANGES:
        assert EXCHANGES.by_code(each.code) is each
        assert EXCHANGES.of(each.request) is each
        if each.reply is not None:
            assert EXCHANGES.of(each.reply) is each
    assert EXCHANGES.by_code(0x101) is None
    with pytest.raises(KeyError):
        EXCHANGES.of(m.TcpAddr)


def test_a_refusal_is_the_whole_reply_with_its_error() -> None:
    for each in EXCHANGES:
        if each.reply is None:
            with pytest.raises(ValueError, match="has no reply"):
                refusal(each, NdmpError.ILLEGAL_STATE_ERR)
            continue
        reply = refusal(each, NdmpError.ILLEGAL_STATE_ERR)
        assert type(reply) is each.reply
        assert reply == xdr.decode(each.reply, xdr.encode(reply), strict=True)
        values = {name: getattr(reply, name) for name in reply.__struct_fields__}
        assert values.pop("error") == NdmpError.ILLEGAL_STATE_ERR
        values.pop("unsupported", None)
        empty = (0, "", b"", (), m.LocalAddr(), m.AuthNone(), m.AuthAttrNone())
        assert all(value in empty for value in values.values()), reply


def test_a_refusal_of_a_state_says_that_its_numbers_mean_nothing() -> None:
    tape = refusal(row("TAPE_GET_STATE"), NdmpError.DEV_NOT_OPEN_ERR)
    assert isinstance(tape, m.TapeGetStateReply)
    assert tape.unsupported == 0x3F
    data = refusal(row("DATA_GET_STATE"), NdmpError.NOT_SUPPORTED_ERR)
    assert isinstance(data, m.DataGetStateReply)
    assert data.unsupported == 0x3


class PrepareRequest(RequestBody["PrepareReply"]):
    """An extension's request."""


class PrepareReply(Message):
    """An extension's reply."""

    error: int


PREPARE = Exchange(0x2052_0001, "CAB_DATA_CONN_PREPARE", PrepareRequest, PrepareReply)


def test_an_extension_adds_rows_and_leaves_the_table_alone() -> None:
    extended = EXCHANGES.extended([PREPARE])
    assert extended.by_code(0x2052_0001) is PREPARE
    assert EXCHANGES.by_code(0x2052_0001) is None
    assert len(extended) == len(EXCHANGES) + 1


@pytest.mark.parametrize(
    "rival",
    [
        Exchange(0x2052_0001, "OTHER", m.TapeOpenRequest, None),
        Exchange(0x2052_0002, "OTHER", PrepareRequest, None),
        Exchange(0x2052_0002, "OTHER", m.TapeOpenRequest, PrepareReply),
    ],
)
def test_two_rows_cannot_share_a_code_or_a_type(rival: Exchange) -> None:
    with pytest.raises(ValueError, match="in the table already"):
        ExchangeTable([PREPARE, rival])


def test_a_row_shows_its_name_and_code() -> None:
    assert repr(PREPARE) == "<Exchange CAB_DATA_CONN_PREPARE 0x20520001>"
