"""What is printed: on a terminal, in a script, and as JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.client import CopyResult, Side
from tapekit_ndmp_v4.numbers import AddrType, AuthType, DataUnsupported
from tapekit_ndmpcopy.errors import CATALOGUE
from tapekit_ndmpcopy.logins import Login
from tapekit_ndmpcopy.order import CopyOrder
from tapekit_ndmpcopy.places import Place
from tapekit_ndmpcopy.report import Report, summarize
from tapekit_ndmpcopy.words import Words

ORDER = CopyOrder(
    source=Place(host="10.0.0.1", port=10000, path="/vs1/vol1"),
    destination=Place(host="2001:db8::1", port=10000, path="/vs2/vol2"),
    source_login=Login(user="me", password=b"secret", method=AuthType.MD5),
    destination_login=Login(user="me", password=b"secret", method=AuthType.MD5),
    level=3,
)
RESULT = CopyResult(kind=AddrType.TCP, bytes_processed=5_000_000, seconds=2.0)
WORDS = (Words(Side.SOURCE, "NORMAL", "fine [bold]"),)


class MemoryTerminal(io.StringIO):
    """A terminal that keeps what is on it."""

    def isatty(self) -> bool:
        return True


def state(done: int, remaining: int, unsupported: int) -> m.DataGetStateReply:
    return msgspec.structs.replace(
        xdr.zero(m.DataGetStateReply),
        bytes_processed=done,
        est_bytes_remain=remaining,
        unsupported=unsupported,
    )


def printed(result: Any, *, as_json: bool) -> str:
    out, err = io.StringIO(), io.StringIO()
    Report(out, err).outcome(summarize(ORDER, WORDS, result), as_json=as_json)
    assert err.getvalue() == ""
    return out.getvalue()


def test_the_outcome_is_one_line() -> None:
    assert printed(RESULT, as_json=False) == (
        "copied 10.0.0.1:/vs1/vol1 to [2001:db8::1]:/vs2/vol2, level 3: "
        "5.0 MB in 2.0 s (2.5 MB/s) over TCP\n"
    )


def test_a_copy_in_no_time_has_an_outcome_too() -> None:
    result = msgspec.structs.replace(RESULT, seconds=0.0)
    assert "5.0 MB in 0.0 s" in printed(result, as_json=False)


def test_the_outcome_as_json() -> None:
    assert json.loads(printed(RESULT, as_json=True)) == {
        "status": "copied",
        "source": "10.0.0.1:/vs1/vol1",
        "destination": "[2001:db8::1]:/vs2/vol2",
        "level": 3,
        "data_connection": "TCP",
        "bytes": 5_000_000,
        "seconds": 2.0,
        "error": None,
        "message": None,
        "action": None,
        "words": [{"side": "source", "level": "NORMAL", "text": "fine [bold]"}],
    }


def test_a_failure_is_an_outcome_in_json_and_an_error_in_words() -> None:
    error = CATALOGUE.error("no-terminal")
    assert printed(error, as_json=False) == ""
    summary = json.loads(printed(error, as_json=True))
    assert summary["status"] == "failed"
    assert summary["error"] == "ndmpcopy.no-terminal"
    assert summary["message"] == str(error)
    assert summary["action"] == error.action
    assert "secret" not in str(summary)


def test_words_go_beside_the_outcome_as_they_are() -> None:
    out, err = io.StringIO(), io.StringIO()
    report = Report(out, err)
    report.said(WORDS[0])
    report.said(Words(Side.DESTINATION, "DEBUG", "for its makers"))
    assert (out.getvalue(), err.getvalue()) == ("", "source: fine [bold]\n")


def test_a_script_gets_no_bar() -> None:
    out, err = io.StringIO(), io.StringIO()
    report = Report(out, err)
    with report.bar():
        report.progressed(state(5, 5, 0))
    assert out.getvalue() == err.getvalue() == ""


@pytest.mark.parametrize(
    ("unsupported", "total"), [(0, "4.0/8.0 MB"), (DataUnsupported.EST_BYTES_REMAIN, "4.0/? MB")]
)
def test_a_terminal_gets_a_bar_with_bytes_and_rate(
    monkeypatch: pytest.MonkeyPatch, unsupported: int, total: str
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out, err = io.StringIO(), MemoryTerminal()
    report = Report(out, err)
    with report.bar():
        report.progressed(state(4_000_000, 4_000_000, unsupported))
        report.said(WORDS[0])
    assert total in err.getvalue()
    assert "source: fine [bold]" in err.getvalue()
    assert out.getvalue() == ""
    report.progressed(state(5, 5, 0))
