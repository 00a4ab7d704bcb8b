"""The command line: the guide's options, and what is refused before any server is asked."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.cli import execute
from tapekit.cli.shell import Shell
from tapekit.kernel import Available
from tapekit_ndmpcopy.plugin import NdmpcopyPlugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Ndmpcopy = Callable[..., "Outcome"]

LOGINS = ("-sa", "me:s3cret", "-da", "me:s3cret", "-st", "md5")
PLACES = ("127.0.0.1:/vs1/vol1", "127.0.0.1:/vs1/vol2")


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def ndmpcopy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ndmpcopy:
    """Runs ``tapekit ndmpcopy`` in a folder without a stack file."""
    monkeypatch.chdir(tmp_path)
    plugin = Available("ndmpcopy", "tests", "tapekit_ndmpcopy", lambda: NdmpcopyPlugin)

    def run(*arguments: str) -> Outcome:
        status = execute(("ndmpcopy", *arguments), Shell(lambda: [plugin], {}, lambda: 0.0))
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def nobody() -> Any:
    """Options for a port of loopback where nobody answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        yield ("--allow-loopback", "--source-port", port, "--destination-port", port)


@pytest.mark.requirement("R101")
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_names_every_option(ndmpcopy: Ndmpcopy, word: str) -> None:
    outcome = ndmpcopy(word)
    assert outcome.status == 0
    assert "Usage: tapekit ndmpcopy" in outcome.out
    words = outcome.out.split()
    names = ("sa", "da", "st", "dt", "l", "d", "f", "h", "p", "exclude", "mcs", "mcd", "md")
    for option in [f"-{name}" for name in names]:
        assert option in words or f"{option}," in words, option


@pytest.mark.requirement("R088")
@pytest.mark.parametrize(
    "order",
    [
        (*LOGINS, "-dt", "text", "-l", "2", "-f", *PLACES),
        (*PLACES, "-md", "inet", "-mcs", "inet", "-mcd", "inet", *LOGINS),
        (PLACES[0], *LOGINS, PLACES[1], "-exclude", "*.pst,.txt", "-l9"),
    ],
    ids=["options first", "options last", "mixed"],
)
def test_options_may_stand_anywhere(
    ndmpcopy: Ndmpcopy, nobody: Any, order: tuple[str, ...]
) -> None:
    """Everything is understood, so that only the server is missing."""
    outcome = ndmpcopy(*order, *nobody)
    assert outcome.status == 1
    assert "no NDMP server answers at 127.0.0.1:" in outcome.err
    assert "s3cret" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("-da a:b -st md5", "-sa", marks=pytest.mark.requirement("R096")),
        pytest.param("-sa a:b -st md5", "-da", marks=pytest.mark.requirement("R096")),
        pytest.param("-sa a:b -da a:b", "-st", marks=pytest.mark.requirement("R098")),
        pytest.param("-sa a:b -da a:b -st sha", "-st", marks=pytest.mark.requirement("R098")),
        pytest.param("-sa a:b -da a:b -st md5 -l 10", "-l", marks=pytest.mark.requirement("R099")),
        pytest.param("-sa a:b -da a:b -st md5 -l -1", "-l", marks=pytest.mark.requirement("R099")),
        pytest.param("-sa a:b -da a:b -st md5 -l x", "-l", marks=pytest.mark.requirement("R099")),
        pytest.param("-sa a:b -da a:b -st md5 -md ipv6", "-md"),
        pytest.param("-sa a:b -da a:b -st md5 -x", "-x"),
        pytest.param("-sa a:b -da a:b -st md5 more", "more"),
    ],
)
def test_wrong_options_are_wrong_use(ndmpcopy: Ndmpcopy, line: str, told: str) -> None:
    outcome = ndmpcopy(*PLACES, *line.split())
    assert outcome.status == 2
    assert told in outcome.err


@pytest.mark.parametrize(
    ("places", "options", "error"),
    [
        (("filer:/vs1/vol1", PLACES[1]), (), "not-an-address"),
        (PLACES, (), "loopback-address"),
        ((PLACES[0], PLACES[0]), ("--allow-loopback",), "same-place"),
        (PLACES, ("--allow-loopback", "-mcd", "inet6"), "other-address-mode"),
        (PLACES, ("--allow-loopback", "-sa", "me:"), "no-password"),
        (PLACES, ("--allow-loopback", "-p"), "no-terminal"),
        (PLACES, ("--allow-loopback", "-d", "--log-directory", "no"), "debug-log-unwritable"),
    ],
)
def test_what_can_be_judged_here_is_judged_here(
    ndmpcopy: Ndmpcopy, places: tuple[str, ...], options: tuple[str, ...], error: str
) -> None:
    outcome = ndmpcopy(*LOGINS, *places, *options)
    assert outcome.status == 1
    assert f"(tapekit explain ndmpcopy.{error})" in outcome.err


@pytest.mark.requirement("R100")
def test_the_log_and_the_outcome_tell_of_a_failure(
    ndmpcopy: Ndmpcopy, nobody: Any, tmp_path: Path
) -> None:
    outcome = ndmpcopy(*LOGINS, *PLACES, *nobody, "-d", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["error"] == "ndmp_v4.no-route-to-server"
    (log,) = tmp_path.glob("ndmpcopy.[0-9]*")
    assert f"messages are logged to {log.name}" in outcome.err
    assert "copies 127.0.0.1:/vs1/vol1 to 127.0.0.1:/vs1/vol2" in log.read_text()
    assert "no NDMP server answers" in log.read_text()
    assert "s3cret" not in log.read_text()


@pytest.mark.requirement("R102")
def test_passwords_are_asked_for_at_a_terminal(
    ndmpcopy: Ndmpcopy, nobody: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    import typer

    class MemoryTerminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def answer(question: str, **_how: object) -> str:
        asked.append(question)
        return "typed"

    monkeypatch.setattr(sys, "stdin", MemoryTerminal())
    monkeypatch.setattr(typer, "prompt", answer)
    assert "no NDMP server answers" in ndmpcopy(*LOGINS, *PLACES, *nobody, "-p").err
    assert asked == ["NDMP password of me at the source", "NDMP password of me at the destination"]
