from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest

from tapekit.cli.choices import LogFormat, LogLevel
from tapekit.cli.logs import start_logging
from tapekit.errors import CORE

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger("tapekit.x")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Puts back what pytest needs of the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_text_line_tells_time_level_logger_and_message(stream: io.StringIO) -> None:
    start_logging(LogFormat.TEXT, LogLevel.INFO, stream)
    LOG.info("session %d opened", 7)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO tapekit\.x: session 7 opened\n",
        stream.getvalue(),
    )


def test_a_json_line_tells_the_same(stream: io.StringIO) -> None:
    start_logging(LogFormat.JSON, LogLevel.INFO, stream)
    LOG.warning('a "quoted"\nmessage')
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"]) == ("warning", "tapekit.x")
    assert found["message"] == 'a "quoted"\nmessage'


def test_exceptions_are_told_in_full(stream: io.StringIO) -> None:
    start_logging(LogFormat.TEXT, LogLevel.INFO, stream)
    try:
        int("torn")
    except ValueError:
        LOG.exception("failed")
    assert "failed\n  Traceback" in stream.getvalue()
    assert stream.getvalue().endswith("invalid literal for int() with base 10: 'torn'\n")


def test_an_error_of_a_catalogue_has_its_identifier_in_json(stream: io.StringIO) -> None:
    start_logging(LogFormat.JSON, LogLevel.INFO, stream)
    LOG.error("failed", exc_info=CORE.error("site-exists", file="f"))
    found = json.loads(stream.getvalue())
    assert found["error"] == "core.site-exists"
    assert "f exists" in found["exception"]


def test_less_important_messages_are_left_out(stream: io.StringIO) -> None:
    start_logging(LogFormat.TEXT, LogLevel.WARNING, stream)
    LOG.info("chatter")
    assert stream.getvalue() == ""


FORGED = "a\n2026-01-01T00:00:00.000Z INFO tapekit.x: forged\x1b[2J\x9b\udce9"


@pytest.mark.parametrize("style", LogFormat)
def test_a_record_is_one_line_whatever_is_in_it(style: LogFormat, stream: io.StringIO) -> None:
    start_logging(style, LogLevel.INFO, stream)
    LOG.info("%s", FORGED)
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    assert line.encode()


def test_programs_get_the_message_as_it_was(stream: io.StringIO) -> None:
    start_logging(LogFormat.JSON, LogLevel.INFO, stream)
    LOG.info("%s", FORGED)
    assert json.loads(stream.getvalue())["message"] == FORGED


def test_no_line_of_a_traceback_looks_like_a_record(stream: io.StringIO) -> None:
    start_logging(LogFormat.TEXT, LogLevel.INFO, stream)
    LOG.error("failed", exc_info=ValueError(FORGED))
    first, *others = stream.getvalue().split("\n")[:-1]
    assert first.endswith("failed")
    assert any("forged" in line for line in others)
    assert all(line.startswith("  ") and line.isprintable() for line in others)
