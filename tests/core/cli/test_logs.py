from __future__ import annotations

import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pytest

from tapekit.cli.logs import LogFormat, LogLevel, start_logging
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
    assert "failed\nTraceback" in stream.getvalue()
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
