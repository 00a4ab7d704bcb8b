"""Traces read back: every message comes out of its line as it went in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.connection import Direction
from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.trace import notice_line, trace_line
from tapekit_ndmp_v4.trace_reading import CutField, TraceRow, message_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit_ndmp_v4.messages import Message

Strategies: TypeAlias = "Callable[[type[Message]], st.SearchStrategy[Message]]"

HEADER = m.Header(
    sequence=1, time_stamp=0, message_type=0, message_code=0, reply_sequence=0, error_code=0
)


def row(body: Message, longest: int | None = None) -> TraceRow:
    exchange = EXCHANGES.of(type(body))
    header = msgspec.structs.replace(HEADER, message_code=exchange.code)
    line = trace_line(
        Direction.RECEIVED, header, exchange, body, time_s=0.0, longest=longest, session=5
    )
    (found,) = rows_of([line])
    return found


@given(data=st.data())
@settings(deadline=None, max_examples=20)
def test_every_request_comes_back_from_its_line(
    any_message: Strategies, data: st.DataObject
) -> None:
    for exchange in EXCHANGES:
        if exchange.is_post or "AUTH" in exchange.name:
            continue
        body = data.draw(any_message(exchange.request))
        found = row(body)
        assert found.body is not None
        back = message_of(exchange.request, found.body)
        assert xdr.encode(back) == xdr.encode(body)


def test_a_row_tells_what_a_replay_needs() -> None:
    found = row(m.TapeOpenRequest(device="nrst0a", mode=1))
    assert (found.line, found.session, found.kind, found.message) == (
        1,
        5,
        "request",
        "TAPE_OPEN",
    )


def test_names_that_are_not_utf8_come_back() -> None:
    request = m.TapeOpenRequest(device="r\udce9sumé", mode=0)
    found = row(request)
    assert found.body is not None
    assert found.body["device"] == {"text": r"r\xe9sumé", "hex": "72e973756dc3a9"}
    assert message_of(m.TapeOpenRequest, found.body) == request


@pytest.mark.parametrize(
    "request_",
    [
        m.TapeWriteRequest(data_out=bytes(65)),
        m.DataStartBackupRequest(butype_name="dump", env=(m.Pair("A", "B"),) * 65),
    ],
)
def test_what_was_cut_is_not_made_up(request_: Message) -> None:
    found = row(request_, longest=64)
    assert found.body is not None
    with pytest.raises(CutField):
        message_of(type(request_), found.body)


@pytest.mark.parametrize(
    "fields",
    [{}, {"addr": {"type": "Nothing"}}, {"addr": {"type": "TcpAddrs"}}, {"addr": "x"}],
)
def test_fields_of_another_message_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        message_of(m.DataConnectRequest, fields)


def test_notices_and_empty_lines_are_no_messages() -> None:
    lines = [b"\n", notice_line("dropped", 1.0, messages=3)]
    (notice,) = rows_of(lines)
    assert (notice.line, notice.kind, notice.notice) == (2, "", "dropped")


@pytest.mark.parametrize("line", [b"x\n", b"[]\n", b"{}\n", b'{"kind":3}\n', b"\xff\n"])
def test_a_file_of_another_kind_is_refused(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        list(rows_of([line]))


def test_a_line_is_valid_json_for_anybody() -> None:
    line = trace_line(Direction.SENT, HEADER, None, None, time_s=1.0)
    assert json.loads(line)["body"] is None
