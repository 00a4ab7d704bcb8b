"""The environment variables of the dump engine, as rows.

What works stands in :data:`VARIABLES` with its meaning; what the engine
cannot do yet stands in the same table and again in :data:`NOT_AVAILABLE`
with the values that change nothing. The one rule: a variable that asks for
something else than what will happen is refused, never passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.environment import Direction, Kind, Variable
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.environment import Environment

__all__ = [
    "ENGINE",
    "NO_BASE",
    "NOT_AVAILABLE",
    "VARIABLES",
    "NotAvailable",
    "refuse_not_available",
]

ENGINE: Final = "dump"

NO_BASE: Final = -1
"""BASE_DATE of a backup that wants no DUMP_DATE."""

_HIGHEST_LEVEL: Final = 31


def _switch(name: str, summary: str, default: str = "N") -> Variable:
    return Variable(name=name, engine=ENGINE, kind=Kind.SWITCH, default=default, summary=summary)


def _text(name: str, summary: str) -> Variable:
    return Variable(name=name, engine=ENGINE, kind=Kind.TEXT, summary=summary)


def _number(name: str, summary: str, default: int, lowest: int, highest: int) -> Variable:
    return Variable(
        name=name,
        engine=ENGINE,
        kind=Kind.NUMBER,
        default=str(default),
        lowest=lowest,
        highest=highest,
        summary=summary,
    )


def _choice(name: str, summary: str, default: str, *choices: str) -> Variable:
    return Variable(
        name=name,
        engine=ENGINE,
        kind=Kind.CHOICE,
        default=default,
        choices=choices,
        summary=summary,
    )


def _returned(name: str, summary: str, direction: Direction = Direction.RETURNED) -> Variable:
    return Variable(name=name, engine=ENGINE, kind=Kind.TEXT, direction=direction, summary=summary)


VARIABLES: Final = (
    _text("FILESYSTEM", "The directory to back up: /vserver/volume[/path]"),
    _choice("TYPE", "The engine", ENGINE, ENGINE),
    _number("LEVEL", "0 is a full backup", 0, 0, _HIGHEST_LEVEL),
    _switch("UPDATE", "Record the date of this backup for those that build on it", "Y"),
    _number(
        "BASE_DATE",
        "-1: incremental backups go by LEVEL; 0: full, and DUMP_DATE is wanted; else a DUMP_DATE",
        NO_BASE,
        NO_BASE,
        2**63 - 1,
    ),
    _switch("HIST", "Send file history"),
    _switch("NO_ACLS", "Leave ACLs out of the backup"),
    _switch("DIRECT", "The restore list has the positions of the file history"),
    _choice("EXTRACT", "Restore what is named: Y; E: also under other names", "N", "Y", "N", "E"),
    _text("PREFIX", "Where a restore goes whose list does not say"),
    _switch("VERBOSE", "Log each phase and each directory"),
    _switch("DEBUG", "Log what helps to find a fault"),
    _returned("DUMP_DATE", "The BASE_DATE of the next incremental backup"),
    _returned("NDMP_VERSION", "The version of the protocol, always 4"),
    _returned("PATHNAME_SEPARATOR", "What separates names in paths, always /"),
    _returned(
        "ACL_START",
        "Byte offset in the stream where nothing is left that a restart could repeat",
        Direction.RETURNED_AND_PASSED_BACK,
    ),
    _text("DMP_NAME", "The name of a backup of several subtrees"),
    _text("EXCLUDE", "Names to leave out"),
    _text("MULTI_SUBTREE_NAMES", "Subtrees to back up together"),
    _switch("IGNORE_CTIME", "Leave out of an incremental backup what only changed its ctime"),
    _switch("NDMP_UNICODE_FH", "Add Unicode names to the file history"),
    _switch("NON_QUOTA_TREE", "Leave out what lies in qtrees"),
    _switch("ENHANCED_DAR_ENABLED", "Restore directories directly"),
    _switch("EXTRACT_ACL", "Restore ACLs", "Y"),
    _switch("FORCE", "Restore as much as fits"),
    _switch("IGNORE_QTREES", "Restore no qtree information"),
    _switch("LIST", "List names and numbers, restore nothing"),
    _switch("LIST_QTREES", "List qtrees, restore nothing"),
    _switch("NOWRITE", "Read the whole stream, restore nothing"),
    _switch("RECURSIVE", "A direct restore of a directory includes what is in it", "Y"),
    _switch("RECOVER_FULL_PATHS", "A direct restore includes the directories on its path"),
)


class NotAvailable(NamedTuple):
    """A variable that an operation can take only in its harmless form."""

    name: str
    for_backup: bool
    """Whether it speaks to backups, else to restores; the other operation
    takes any value, since DMAs pass one environment to both."""


NOT_AVAILABLE: Final = (
    NotAvailable("DMP_NAME", for_backup=True),
    NotAvailable("EXCLUDE", for_backup=True),
    NotAvailable("MULTI_SUBTREE_NAMES", for_backup=True),
    NotAvailable("IGNORE_CTIME", for_backup=True),
    NotAvailable("NDMP_UNICODE_FH", for_backup=True),
    NotAvailable("NON_QUOTA_TREE", for_backup=True),
    NotAvailable("ENHANCED_DAR_ENABLED", for_backup=False),
    NotAvailable("EXTRACT_ACL", for_backup=False),
    NotAvailable("FORCE", for_backup=False),
    NotAvailable("IGNORE_QTREES", for_backup=False),
    NotAvailable("LIST", for_backup=False),
    NotAvailable("LIST_QTREES", for_backup=False),
    NotAvailable("NOWRITE", for_backup=False),
    NotAvailable("RECURSIVE", for_backup=False),
    NotAvailable("RECOVER_FULL_PATHS", for_backup=False),
)

_ROWS: Final = {row.name: row for row in VARIABLES}


def refuse_not_available(environment: Environment, *, backup: bool) -> None:
    """Refuse variables that ask the operation for what it cannot do.

    :raises TapekitError: for the first one, naming it and its value.
    :raises BadEnvironment: the value of one is not even allowed.
    """
    for name, for_backup in NOT_AVAILABLE:
        if for_backup != backup or not _asks_for_something(environment, _ROWS[name]):
            continue
        raise CATALOGUE.error(
            "variable-not-available",
            name=name,
            value=environment.text(name),
            harmless=_ROWS[name].default or "nothing",
        )


def _asks_for_something(environment: Environment, row: Variable) -> bool:
    if row.kind is Kind.SWITCH:
        return environment.switch(row.name) != (row.default == "Y")
    return any(environment.all(row.name))
