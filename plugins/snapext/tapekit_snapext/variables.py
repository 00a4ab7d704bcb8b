"""The environment variables of restarts, as rows for the dump engine.

The documents of the extension do not publish its messages for restarts, so a
restart is asked for by variables of DATA_START_BACKUP. The one rule: no name
here is one that the engine has without this plugin.
"""

from __future__ import annotations

from typing import Final

from tapekit.hookspecs.environment import Direction, Kind, Variable

__all__ = ["RESTART_ROWS"]

RESTART_ROWS: Final = (
    Variable(
        name="RESTARTABLE",
        engine="dump",
        kind=Kind.SWITCH,
        default="N",
        summary="Make the backup one that can be restarted",
    ),
    Variable(
        name="RESTART_CONTEXT",
        engine="dump",
        kind=Kind.TEXT,
        direction=Direction.RETURNED_AND_PASSED_BACK,
        summary="The identifier by which a backup is restarted",
    ),
    Variable(
        name="RESTART_OFFSET",
        engine="dump",
        kind=Kind.NUMBER,
        summary="How many bytes of the stream are on tape; not set, those of the last checkpoint",
    ),
    Variable(
        name="RESTART_POSITION",
        engine="dump",
        kind=Kind.NUMBER,
        direction=Direction.RETURNED,
        summary="Where in the whole stream the stream of this run begins, in bytes",
    ),
)
"""Rows of the variables; see the README of this plugin."""
