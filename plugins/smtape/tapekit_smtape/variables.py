"""The environment variables of the SMTape engine, as rows.

Each stands in :data:`VARIABLES` with its meaning, its default and what it
may say; combinations are checked where they are used. The one rule: what a
variable of another engine asks for is told to have no effect, never done by
halves.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.environment import BadEnvironment, Direction, Kind, Variable
from tapekit_smtape.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.environment import Environment

__all__ = ["ENGINE", "VARIABLES", "base_of", "set_id_of", "snapshot_of", "without_effect"]

ENGINE: Final = "smtape"


def _switch(name: str, summary: str) -> Variable:
    return Variable(name=name, engine=ENGINE, kind=Kind.SWITCH, default="N", summary=summary)


def _text(name: str, summary: str, default: str | None = None) -> Variable:
    return Variable(name=name, engine=ENGINE, kind=Kind.TEXT, default=default, summary=summary)


def _returned(name: str, summary: str) -> Variable:
    return Variable(
        name=name, engine=ENGINE, kind=Kind.TEXT, direction=Direction.RETURNED, summary=summary
    )


VARIABLES: Final = (
    _text("FILESYSTEM", "The volume to back up or to restore to: /vserver/volume"),
    Variable(
        name="TYPE",
        engine=ENGINE,
        kind=Kind.CHOICE,
        default=ENGINE,
        choices=(ENGINE,),
        summary="The engine",
    ),
    _text("BASE_DATE", "The DUMP_DATE of the backup that an increment follows; -1: none", "-1"),
    _returned("DUMP_DATE", "The BASE_DATE of the next incremental backup"),
    Variable(
        name="SMTAPE_BACKUP_SET_ID",
        engine=ENGINE,
        kind=Kind.TEXT,
        direction=Direction.RETURNED_AND_PASSED_BACK,
        summary="What a baseline and its increments have in common: 32 hexadecimal digits",
    ),
    _text(
        "SMTAPE_SNAPSHOT_NAME",
        "The Snapshot copy to back up, with all older ones or with those since BASE_DATE",
        "Invalid",
    ),
    _switch("SMTAPE_DELETE_SNAPSHOT", "Delete the Snapshot copy that the backup has made"),
    _switch("SMTAPE_BREAK_MIRROR", "Make the volume read/write after its restore"),
    _switch("VERBOSE", "Log each Snapshot copy"),
    _switch("DEBUG", "Log what helps to find a fault"),
    _returned("NDMP_VERSION", "The version of the protocol, always 4"),
    _returned("PATHNAME_SEPARATOR", "What separates names in paths, always /"),
)

_BASELINE: Final = frozenset({"", "0", "-1"})
_NO_NAME: Final = frozenset({"", "Invalid"})
_OFF: Final = frozenset({"", "n", "no", "f", "false", "0"})
_OF_DUMP: Final = ("HIST", "LEVEL", "EXCLUDE")
"""Variables that would change a backup by the dump engine."""


def base_of(environment: Environment) -> str | None:
    """Identifier of the Snapshot copy that an increment builds on; none for
    a baseline.
    """
    text = (environment.text("BASE_DATE") or "").strip()
    return None if text in _BASELINE else text


def snapshot_of(environment: Environment) -> str | None:
    """The Snapshot copy that the DMA names, if it names one.

    :raises BadEnvironment: an increment is asked for without it.
    """
    text = (environment.text("SMTAPE_SNAPSHOT_NAME") or "").strip()
    if text not in _NO_NAME:
        return text
    if base_of(environment) is not None:
        raise CATALOGUE.raised_as(BadEnvironment, "increment-needs-snapshot")
    return None


def set_id_of(environment: Environment) -> bytes | None:
    """The backup set that an increment belongs to; none for a baseline, which
    begins one.

    :raises BadEnvironment: an increment is asked for without it, or it is none.
    """
    if base_of(environment) is None:
        return None
    text = (environment.text("SMTAPE_BACKUP_SET_ID") or "").strip()
    try:
        return uuid.UUID(text).bytes
    except ValueError as error:
        raise CATALOGUE.raised_as(BadEnvironment, "increment-needs-set-id", value=text) from error


def without_effect(environment: Environment) -> list[str]:
    """Variables that ask for what this engine does not do."""
    values = dict(environment.pairs)
    return [name for name in _OF_DUMP if values.get(name, "").strip().lower() not in _OFF]
