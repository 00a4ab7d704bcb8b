"""Where the log goes: to standard error, as text or as JSON lines.

All loggers of the stack are called ``tapekit.PLUGIN``; nothing but this
module touches handlers or levels. The one rule: a record is one line, only the
lines of a traceback follow it, indented, so that no name of a file and no word
of a client looks like a record.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, final

from tapekit.cli.choices import LogFormat
from tapekit.console import json_text, printable
from tapekit.errors import TapekitError

if TYPE_CHECKING:
    from typing import TextIO

    from tapekit.cli.choices import LogLevel

__all__ = ["start_logging"]


def start_logging(style: LogFormat, level: LogLevel, stream: TextIO) -> None:
    """Send the log of the whole process to ``stream``."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonLine() if style is LogFormat.JSON else _TextLine())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@final
class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = printable(record.getMessage())
        lines = [f"{_time(record)} {record.levelname} {record.name}: {message}"]
        if record.exc_info:
            traceback = self.formatException(record.exc_info).split("\n")
            lines += (f"  {printable(line)}" for line in traceback)
        return "\n".join(lines)


@final
class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
            if isinstance(record.exc_info[1], TapekitError):
                line["error"] = record.exc_info[1].id
        return json_text(line)
