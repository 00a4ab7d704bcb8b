"""What the environment asks of a restore, read once and checked together.

Variables that say nothing without another are refused without it, so that
nobody believes that they did something. The one rule: nothing here looks at
a stream or at a destination.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.recover_selection import View, join_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.environment import Environment

__all__ = ["Manner", "Wishes", "check_views", "read_wishes", "with_full_paths"]


class Manner(enum.Enum):
    """What is done with what is selected."""

    RESTORE = "restore"
    LIST = "LIST"
    LIST_QTREES = "LIST_QTREES"
    NOWRITE = "NOWRITE"


class Wishes(NamedTuple):
    """How one restore goes about it."""

    manner: Manner = Manner.RESTORE
    is_direct: bool = False
    """Whether positions of the restore list are used (DIRECT)."""
    is_enhanced: bool = False
    """Whether directories may be restored directly (ENHANCED_DAR_ENABLED)."""
    is_recursive: bool = True
    """Whether directories go with what is in them (RECURSIVE)."""
    full_paths: bool = False
    """Whether directories on the way get their attributes too
    (RECOVER_FULL_PATHS)."""
    with_acls: bool = True
    is_forced: bool = False
    """Whether nobody looks for room before (FORCE)."""
    may_rename: bool = True
    """Whether the last name of a target may be another than at the source."""
    extract: str = "N"
    map_at: int = 0
    """The offset of the offset map in the stream; 0 if it is unknown."""
    stream_bytes: int = 0
    """How long the stream is, without its end; 0 if that is unknown."""


def read_wishes(environment: Environment) -> Wishes:
    """Read the variables of a restore.

    :raises BadEnvironment: a value is not allowed.
    :raises TapekitError: two of them contradict each other.
    """
    is_direct = environment.switch("DIRECT")
    is_enhanced = is_direct and environment.switch("ENHANCED_DAR_ENABLED")
    extract = environment.choice("EXTRACT") or "N"
    wishes = Wishes(
        manner=_manner(environment),
        is_direct=is_direct,
        is_enhanced=is_enhanced,
        is_recursive=environment.switch("RECURSIVE"),
        full_paths=environment.switch("RECOVER_FULL_PATHS"),
        with_acls=_with_acls(environment, is_direct=is_direct),
        is_forced=environment.switch("FORCE"),
        may_rename=is_direct or extract == "E",
        extract=extract,
        map_at=environment.number("OFFSET_MAP_START") or 0,
        stream_bytes=environment.number("ACL_START") or 0,
    )
    if not is_enhanced and not wishes.is_recursive:
        raise CATALOGUE.error("needs-enhanced-dar", name="RECURSIVE", value="N", harmless="Y")
    if not is_enhanced and wishes.full_paths:
        raise CATALOGUE.error(
            "needs-enhanced-dar", name="RECOVER_FULL_PATHS", value="Y", harmless="N"
        )
    return wishes


def check_views(wishes: Wishes, views: Sequence[View]) -> None:
    """Check where things go against what the environment says of it, and
    tell directories whether what is in them belongs to them.

    :raises TapekitError: a destination is not allowed, with what would be.
    """
    for view in views:
        if not wishes.may_rename and view.is_renamed:
            raise CATALOGUE.error(
                "rename-needs-extract",
                path=join_path(view.source),
                target=join_path(view.target),
                value=wishes.extract,
            )
        if (wishes.full_paths or not wishes.is_recursive) and not view.keeps_path:
            raise CATALOGUE.error(
                "destination-lacks-path",
                path=join_path(view.source),
                target=join_path(view.target),
                name="RECOVER_FULL_PATHS=Y" if wishes.full_paths else "RECURSIVE=N",
            )
        view.is_recursive = wishes.is_recursive
    if not wishes.is_recursive:
        _check_one_line(views)


def with_full_paths(views: Sequence[View]) -> tuple[View, ...]:
    """Views, and one for each directory on the way to them."""
    every: dict[tuple[bytes, ...], View] = {view.target: view for view in views}
    added: list[View] = []
    for view in views:
        for depth in range(1, len(view.source)):
            rest = len(view.source) - depth
            source, target = view.source[:depth], view.target[:-rest]
            if target not in every:
                above = View(len(views) + len(added), source, target, None)
                above.is_recursive, above.only_if_new = False, True
                every[target] = above
                added.append(above)
    return (*views, *added)


_MANNERS: Final = (Manner.LIST, Manner.LIST_QTREES, Manner.NOWRITE)


def _manner(environment: Environment) -> Manner:
    asked = [each for each in _MANNERS if environment.switch(each.value)]
    return asked[0] if asked else Manner.RESTORE


def _with_acls(environment: Environment, *, is_direct: bool) -> bool:
    """Y by default, but not in a direct access restore."""
    if environment.is_set("EXTRACT_ACL"):
        return environment.switch("EXTRACT_ACL")
    return not is_direct


def _check_one_line(views: Sequence[View]) -> None:
    """All paths lie on the longest one."""
    longest = max(views, key=lambda view: len(view.source))
    for view in views:
        if view.source != longest.source[: len(view.source)]:
            raise CATALOGUE.error(
                "path-beside-longest",
                path=join_path(view.source),
                longest=join_path(longest.source),
            )
