"""The words that options of the shell take.

They stand apart from what they choose, so that the help can list them
without importing it.
"""

from __future__ import annotations

import enum

__all__ = ["LogFormat", "LogLevel", "Trace"]


class LogFormat(enum.StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


class LogLevel(enum.StrEnum):
    """The least important messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Trace(enum.StrEnum):
    """What can be logged in detail."""

    HOOKS = "hooks"
