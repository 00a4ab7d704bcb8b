"""What of a tree is backed up: names left out, subtrees taken.

EXCLUDE lists names that are left out wherever they stand;
MULTI_SUBTREE_NAMES lists the only subtrees that are taken, with the
directories on the way to them. The one rule: a list that could be read in two
ways is refused before any data moves.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, final

from tapekit.hookspecs.environment import BadEnvironment
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tapekit.hookspecs.environment import Environment

__all__ = [
    "EXCLUDED_AT_MOST",
    "WHOLE",
    "Choice",
    "Scope",
    "Subtrees",
    "Wanted",
    "limits_of",
    "parse_excluded",
    "parse_subtrees",
]

EXCLUDED_AT_MOST: Final = 32
"""Names that EXCLUDE may list."""

Wanted: TypeAlias = Callable[["os.DirEntry[str]"], bool]
"""Tells of an entry of a directory whether it is taken."""

_LIMITS_DIGITS: Final = 16

_ESCAPED_COMMA: Final = re.compile(r"(?<!\\),")


class Subtrees:
    """Subtrees below one root.

    :param names: their paths below the root, without slashes at the ends.
    """

    def __init__(self, root: str, names: Iterable[str]) -> None:
        self.root: Final = root
        """``/vserver/volume[/path]``"""
        self.names: Final = tuple(names)


class Choice(Protocol):
    """What a walk asks of each directory."""

    def within(self, directory: bytes) -> Wanted | None:
        """What chooses entries of a directory, named by its path below the
        root; ``None`` if all are wanted.
        """
        ...

    def junctions(self) -> Sequence[bytes]:
        """Names in the directory asked for last that stand in the backup as
        symbolic links, after all of its entries.
        """
        ...

    def withheld(self) -> Sequence[os.DirEntry[str]]:
        """Entries of that directory that no backup may have for now."""
        ...


@final
class Scope:
    """Chooses the entries of each directory.

    :param excluded: a pattern of names to leave out, or ``None``.
    :param subtrees: paths below the root to take; all if there are none.
    """

    def __init__(self, excluded: re.Pattern[str] | None, subtrees: Sequence[str] = ()) -> None:
        self._excluded: Final = excluded
        self._on_the_way: Final[dict[bytes, set[str]]] = {}
        tops = {tuple(path.split("/")) for path in subtrees}
        for parts in tops:
            for depth, name in enumerate(parts):
                if parts[:depth] in tops:
                    break
                self._on_the_way.setdefault(os.fsencode("/".join(parts[:depth])), set()).add(name)

    def within(self, directory: bytes) -> Wanted | None:
        """What chooses entries of a directory, named by its path below the
        root; ``None`` if all are wanted.
        """
        names = self._on_the_way.get(directory)
        if names is not None:
            return lambda entry: entry.name in names
        if self._excluded is None:
            return None
        matches = self._excluded.fullmatch
        return lambda entry: matches(entry.name) is None

    def junctions(self) -> Sequence[bytes]:
        """None; see :class:`Choice`."""
        return ()

    def withheld(self) -> Sequence[os.DirEntry[str]]:
        """None; see :class:`Choice`."""
        return ()


WHOLE: Final = Scope(None)
"""Everything."""


def limits_of(environment: Environment, level: int) -> str:
    """What tells two backups of a path apart that leave out different names;
    empty if nothing is left out.
    """
    excluded = sorted(set((environment.text("EXCLUDE") or "").split(",")) - {""})
    subtrees = environment.text("MULTI_SUBTREE_NAMES") or ""
    without_qtrees = environment.switch("NON_QUOTA_TREE") and not level
    if not (excluded or subtrees or without_qtrees):
        return ""
    limits = repr((excluded, sorted(subtrees.split("\n")), without_qtrees))
    return hashlib.sha256(limits.encode()).hexdigest()[:_LIMITS_DIGITS]


def parse_excluded(text: str) -> re.Pattern[str] | None:
    """What EXCLUDE leaves out, or ``None`` if it names nothing.

    :raises BadEnvironment: too many names, one with ``*`` elsewhere than at
        its ends, or a path.
    """
    names = [name.replace("\\,", ",") for name in _ESCAPED_COMMA.split(text) if name]
    if len(names) > EXCLUDED_AT_MOST:
        raise CATALOGUE.raised_as(
            BadEnvironment, "too-many-excluded", count=len(names), limit=EXCLUDED_AT_MOST
        )
    for name in names:
        if "*" in name[1:-1]:
            raise _bad_name(name, "* may only be its first or last character")
        if "/" in name:
            raise _bad_name(name, "it is a path, not the name of a file or directory")
    patterns = [re.escape(name).replace(r"\*", ".*") for name in names]
    return re.compile("|".join(patterns), re.DOTALL) if patterns else None


def _bad_name(name: str, reason: str) -> BadEnvironment:
    return CATALOGUE.raised_as(BadEnvironment, "bad-excluded-name", excluded=name, reason=reason)


def parse_subtrees(text: str, filesystem: str) -> Subtrees:
    """The subtrees of MULTI_SUBTREE_NAMES, whose last element is the root
    that they have in common, as a path or relative to FILESYSTEM.

    :param filesystem: FILESYSTEM without slashes at its end.
    :raises BadEnvironment: there are none, or one leads elsewhere.
    """
    elements = [element for element in text.partition("\0")[0].split("\n") if element]
    if len(elements) < 2:
        raise _bad_subtree(text, "it needs a subtree and, as its last element, the common root")
    *names, last = (element.rstrip("/") for element in elements)
    root = last if last.startswith("/") else _joined(filesystem, last)
    if root != filesystem and not root.startswith(f"{filesystem}/"):
        raise _bad_subtree(last, f"the common root must be {filesystem} or below it")
    for name in names:
        if not name or name.startswith("/") or not _is_plain(name):
            raise _bad_subtree(name, "a subtree is a path below the common root")
    if not _is_plain(root[1:]):
        raise _bad_subtree(last, "the common root must be a plain path")
    return Subtrees(root, names)


def _joined(filesystem: str, below: str) -> str:
    return filesystem if below in {"", "."} else f"{filesystem}/{below}"


def _is_plain(path: str) -> bool:
    """Whether a path has nothing but names."""
    return not {"", ".", ".."}.intersection(path.split("/"))


def _bad_subtree(name: str, reason: str) -> BadEnvironment:
    return CATALOGUE.raised_as(BadEnvironment, "bad-subtree", subtree=name, reason=reason)
