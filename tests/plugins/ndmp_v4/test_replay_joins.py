"""Which servers of recorded sessions were connected to, by whom, and when."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4.replay_joins import Join, Joins, endpoint_in
from tapekit_ndmp_v4.trace_reading import TraceRow

ADDR = {"type": "TcpAddrs", "tcp_addr": [{"ip": 0x0A00_0001, "port": 4444, "addr_env": []}]}
HERE = Endpoint("10.0.0.1", 4444)
LISTENED = ("reply", "MOVER_LISTEN", {"error": "NO_ERR", "connect_addr": ADDR})
MOVER_ASKED = ("request", "MOVER_GET_STATE", {})
DATA_ASKED = ("request", "DATA_GET_STATE", {})


def rows(*lines: tuple[str, str, dict[str, Any]]) -> list[TraceRow]:
    return [
        TraceRow(line=number, kind=kind, message=message, body=body)
        for number, (kind, message, body) in enumerate(lines, start=1)
    ]


def told(kind: str, message: str, **body: Any) -> tuple[str, str, dict[str, Any]]:
    return kind, message, body


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ([MOVER_ASKED, told("reply", "MOVER_GET_STATE", state="ACTIVE")], 2),
        (
            [
                MOVER_ASKED,
                told("reply", "MOVER_GET_STATE", state="LISTEN"),
                MOVER_ASKED,
                told("reply", "MOVER_GET_STATE", state="PAUSED"),
            ],
            4,
        ),
        ([told("post", "NOTIFY_MOVER_PAUSED", reason="EOW")], 2),
        ([told("post", "NOTIFY_MOVER_HALTED", reason="CONNECT_CLOSED")], 2),
        ([told("post", "NOTIFY_MOVER_HALTED", reason="ABORTED")], None),
        ([MOVER_ASKED, told("reply", "MOVER_GET_STATE", state="LISTEN")], None),
        (
            [
                told("request", "MOVER_STOP"),
                MOVER_ASKED,
                told("reply", "MOVER_GET_STATE", state="ACTIVE"),
            ],
            None,
        ),
        ([DATA_ASKED, told("reply", "DATA_GET_STATE", state="CONNECTED")], 2),
        (
            [
                told("request", "DATA_START_BACKUP"),
                told("reply", "DATA_START_BACKUP", error="NO_ERR"),
            ],
            2,
        ),
        (
            [
                told("request", "DATA_START_BACKUP"),
                told("reply", "DATA_START_BACKUP", error="ILLEGAL_STATE_ERR"),
            ],
            None,
        ),
    ],
)
def test_a_connection_is_made_where_the_trace_first_shows_it(
    lines: list[tuple[str, str, dict[str, Any]]], joined: int | None
) -> None:
    session = rows(LISTENED, *lines)
    found = list(Joins([session]).unrecorded(session))
    assert found == ([] if joined is None else [Join(joined, HERE)])


def test_who_is_played_too_connects_himself() -> None:
    session = rows(LISTENED, told("post", "NOTIFY_MOVER_PAUSED", reason="EOW"))
    other = rows(told("request", "DATA_CONNECT", addr=ADDR))
    assert list(Joins([session, other]).unrecorded(session)) == []


def test_rows_without_an_address_lead_nowhere() -> None:
    local = {"type": "LocalAddr"}
    for row in rows(
        told("reply", "MOVER_LISTEN", error="NO_ERR", connect_addr=local),
        told("request", "DATA_CONNECT", addr={"total": 9, "first": []}),
        told("request", "MOVER_CONTINUE"),
        told("post", "NOTIFY_MOVER_PAUSED", reason="EOW"),
    ):
        assert endpoint_in(row) is None
