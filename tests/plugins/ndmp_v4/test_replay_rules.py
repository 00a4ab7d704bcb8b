"""What a replay compares, what it leaves out, and how it tells a difference."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit_ndmp_v4.exchanges import EXCHANGES
from tapekit_ndmp_v4.replay_rules import _LANES, _MOVING, _UNCOMPARED, Judge
from tapekit_ndmp_v4.trace_reading import TraceRow


def reply(message: str, line: int = 1, **body: Any) -> TraceRow:
    return TraceRow(line=line, kind="reply", message=message, body={"error": "NO_ERR", **body})


def post(message: str, line: int = 1, **body: Any) -> TraceRow:
    return TraceRow(line=line, kind="post", message=message, body=body)


def judged(recorded: TraceRow, came: TraceRow) -> str | None:
    judge = Judge([recorded])
    judge.see(came)
    return None if judge.difference is None else str(judge.difference)


def test_the_rules_are_of_messages_that_there_are() -> None:
    names = {row.name for row in EXCHANGES}
    assert {*_UNCOMPARED, *_MOVING, *_LANES} <= names
    assert {row.name for row in EXCHANGES if row.is_post} == {
        *_LANES,
        "FH_ADD_FILE",
        "FH_ADD_DIR",
        "FH_ADD_NODE",
    }


@pytest.mark.parametrize(
    ("recorded", "came"),
    [
        (reply("TAPE_OPEN"), reply("TAPE_OPEN", 9)),
        (reply("CONFIG_GET_HOST_INFO", hostname="a"), reply("CONFIG_GET_HOST_INFO", hostname="b")),
        (
            reply("MOVER_LISTEN", connect_addr={"tcp_addr": [{"ip": 1, "port": 2}]}),
            reply("MOVER_LISTEN", connect_addr={"tcp_addr": [{"ip": 3, "port": 4}]}),
        ),
        (
            reply("CONFIG_GET_FS_INFO", fs_info=[{"used_size": 1, "fs_type": "x"}]),
            reply("CONFIG_GET_FS_INFO", fs_info=[{"used_size": 2, "fs_type": "x"}]),
        ),
        (
            reply("DATA_GET_STATE", state="ACTIVE", bytes_processed=1),
            reply("DATA_GET_STATE", state="HALTED", bytes_processed=2),
        ),
        (
            reply("DATA_GET_ENV", env=[["DUMP_DATE", "1"]]),
            reply("DATA_GET_ENV", env=[["DUMP_DATE", "2"]]),
        ),
        (
            post("LOG_MESSAGE", log_type="NORMAL", entry="a"),
            post("LOG_MESSAGE", log_type="NORMAL", entry="b"),
        ),
        (post("FH_ADD_DIR", dirs=[]), post("FH_ADD_DIR", dirs=[1])),
    ],
)
def test_what_depends_on_machine_or_moment_is_not_compared(
    recorded: TraceRow, came: TraceRow
) -> None:
    assert judged(recorded, came) is None


@pytest.mark.parametrize(
    ("recorded", "came", "told"),
    [
        (
            reply("TAPE_OPEN", 4),
            reply("TAPE_OPEN", error="BUSY"),
            "line 4: TAPE_OPEN: error: recorded NO_ERR, replayed BUSY",
        ),
        (
            reply("DATA_GET_STATE", 4, state="ACTIVE"),
            reply("DATA_GET_STATE", error="NOT_AUTHORIZED_ERR"),
            "line 4: DATA_GET_STATE: error: recorded NO_ERR, replayed NOT_AUTHORIZED_ERR",
        ),
        (
            reply("DATA_GET_STATE", 4, state="HALTED"),
            reply("DATA_GET_STATE", state="ACTIVE"),
            "line 4: DATA_GET_STATE: state: recorded HALTED, replayed ACTIVE",
        ),
        (
            TraceRow(line=2, kind="reply", message="DATA_STOP", error="NOT_SUPPORTED_ERR"),
            reply("DATA_STOP"),
            "line 2: DATA_STOP: header error: recorded NOT_SUPPORTED_ERR, replayed NO_ERR",
        ),
        (
            reply("DATA_GET_ENV", 5, env=[["A", "1"]]),
            reply("DATA_GET_ENV", env=[["B", "1"]]),
            "line 5: DATA_GET_ENV: env.0.0: recorded A, replayed B",
        ),
        (
            reply("DATA_GET_ENV", 5, env=[["A", "1"]]),
            reply("DATA_GET_ENV", env=[]),
            "line 5: DATA_GET_ENV: env.length: recorded 1, replayed 0",
        ),
        (
            reply("MOVER_READ", 5),
            reply("MOVER_STOP"),
            "line 5: MOVER_READ: message: recorded MOVER_READ, replayed MOVER_STOP",
        ),
        (
            post("LOG_MESSAGE", 6, log_type="ERROR", entry="a"),
            post("LOG_MESSAGE", log_type="ERROR", entry="b"),
            "line 6: LOG_MESSAGE: entry: recorded a, replayed b",
        ),
        (
            post("NOTIFY_MOVER_PAUSED", 3, seek_position=1),
            post("NOTIFY_MOVER_PAUSED"),
            "line 3: NOTIFY_MOVER_PAUSED: seek_position: recorded 1, replayed nothing",
        ),
        (
            reply("DATA_STOP"),
            post("NOTIFY_DATA_HALTED", reason="ABORTED"),
            "not recorded: NOTIFY_DATA_HALTED: {'reason': 'ABORTED'}",
        ),
        (
            reply("DATA_STOP"),
            post("LOG_MESSAGE", log_type="ERROR", entry="the tape is full"),
            "not recorded: LOG_MESSAGE: the tape is full",
        ),
    ],
)
def test_a_difference_is_told_by_line_and_field(
    recorded: TraceRow, came: TraceRow, told: str
) -> None:
    assert judged(recorded, came) == told


def test_the_two_servers_need_not_be_in_step() -> None:
    halted, moved = post("NOTIFY_DATA_HALTED", 1), post("NOTIFY_MOVER_HALTED", 2)
    judge = Judge([halted, moved])
    judge.see(moved)
    judge.see(halted)
    assert (judge.compared, judge.difference) == (2, None)


def test_posts_that_are_late_are_known() -> None:
    judge = Judge([post("NOTIFY_DATA_READ", 3), reply("DATA_STOP", 4), post("LOG_FILE", 6)])
    assert judge.missing(3) is None
    late = judge.missing(4)
    assert late is not None
    assert late.line == 3
    judge.see(post("NOTIFY_DATA_READ"))
    assert judge.missing(6) is None
    assert judge.missing(7) is not None


def test_only_the_first_difference_counts() -> None:
    judge = Judge([reply("DATA_STOP", 1), reply("DATA_STOP", 2)])
    assert judge.see(reply("DATA_ABORT")) is not None
    assert judge.see(reply("DATA_ABORT")) is None
    assert judge.differs()
    assert judge.difference is not None
    assert judge.difference.line == 1
