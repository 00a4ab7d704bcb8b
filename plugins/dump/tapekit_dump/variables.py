"""The environment variables of the dump engine, as rows.

Each stands in :data:`VARIABLES` with its meaning, its default and what it
may say; combinations are checked where they are used. The one rule: a
variable that asks for something else than what will happen is refused, never
passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.environment import BadEnvironment, Direction, Kind, Variable
from tapekit_dump.chain import HIGHEST_LEVEL, NO_BASE
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.environment import Environment

__all__ = [
    "ENGINE",
    "VARIABLES",
    "refuse_unicode_without_history",
]

ENGINE: Final = "dump"


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


def _returned(name: str, summary: str) -> Variable:
    return Variable(
        name=name, engine=ENGINE, kind=Kind.TEXT, direction=Direction.RETURNED, summary=summary
    )


def _offset(name: str, summary: str) -> Variable:
    return Variable(
        name=name,
        engine=ENGINE,
        kind=Kind.NUMBER,
        direction=Direction.RETURNED_AND_PASSED_BACK,
        summary=f"{summary}, in bytes",
    )


VARIABLES: Final = (
    _text("FILESYSTEM", "The directory to back up: /vserver/volume[/path]"),
    _choice("TYPE", "The engine", ENGINE, ENGINE),
    _number(
        "LEVEL",
        "0: a full backup; else what changed since the latest one of a lower level",
        0,
        0,
        HIGHEST_LEVEL,
    ),
    _switch("UPDATE", "Record the date of this backup for those that build on it", "Y"),
    _number(
        "BASE_DATE",
        "-1: incremental backups go by LEVEL; 0: full, and DUMP_DATE is wanted; else a DUMP_DATE",
        NO_BASE,
        NO_BASE,
        2**63 - 1,
    ),
    _choice(
        "HIST",
        "Send file history: Y, T or D by directories and nodes, F (which is not N here) by paths",
        "N",
        *("Y", "N", "D", "F", "T", "1", "0", "yes", "no", "true", "false"),
    ),
    _switch("NO_ACLS", "Leave ACLs out of the backup"),
    _switch("DIRECT", "The restore list has the positions of the file history"),
    _choice("EXTRACT", "Restore what is named: Y; E: also under other names", "N", "Y", "N", "E"),
    _text("PREFIX", "Where a restore goes whose list does not say"),
    _switch("VERBOSE", "Log each phase and each directory"),
    _switch("DEBUG", "Log what helps to find a fault"),
    _returned("DUMP_DATE", "The BASE_DATE of the next incremental backup"),
    _returned("NDMP_VERSION", "The version of the protocol, always 4"),
    _returned("PATHNAME_SEPARATOR", "What separates names in paths, always /"),
    _offset("ACL_START", "Where in the stream nothing is left that a restart could repeat"),
    _offset("OFFSET_MAP_START", "Where in the stream the map begins that finds directories"),
    _text("DMP_NAME", "The name of a backup of several subtrees"),
    _text("EXCLUDE", "Names to leave out, by commas; * at an end stands for anything"),
    _text("MULTI_SUBTREE_NAMES", "Subtrees to back up, by lines; the last is their common root"),
    _switch("IGNORE_CTIME", "Leave out of an incremental backup files with a new ctime alone"),
    _switch("NDMP_UNICODE_FH", "Add Unicode names to the file history"),
    _switch("NON_QUOTA_TREE", "Leave out what lies in qtrees, in a full backup of a whole volume"),
    _switch("ENHANCED_DAR_ENABLED", "Restore directories directly"),
    _switch("EXTRACT_ACL", "Restore ACLs; not set, a direct restore leaves them out", "Y"),
    _switch("FORCE", "Restore as much as fits, without a look at space and inodes before"),
    _switch("IGNORE_QTREES", "Restore no qtree information"),
    _switch("LIST", "List names and numbers, restore nothing"),
    _switch("LIST_QTREES", "List qtrees, restore nothing"),
    _switch("NOWRITE", "Read the whole stream, restore nothing"),
    _switch("RECURSIVE", "A direct restore of a directory includes what is in it", "Y"),
    _switch("RECOVER_FULL_PATHS", "A direct restore includes the directories on its path"),
)


_NO_HISTORY: Final = frozenset({"n", "no", "false", "0"})


def refuse_unicode_without_history(environment: Environment) -> None:
    """Refuse Unicode names in a file history that nobody gets.

    :raises BadEnvironment: they are asked for without HIST.
    """
    history = (environment.choice("HIST") or "N").lower()
    if environment.switch("NDMP_UNICODE_FH") and history in _NO_HISTORY:
        raise CATALOGUE.raised_as(BadEnvironment, "unicode-needs-history")
