"""What is to be copied, as the two servers are told.

The source gets the environment of a dump without file history that keeps its
date for the next level; the destination restores all of it to one path. A
single file goes as the only subtree of its directory, under the name that
the destination's path ends with. The one rule: each server is told of its
own paths only, since its users may not be allowed to name another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_ndmp_v4.client import CopyPlan
from tapekit_ndmp_v4.messages import Name
from tapekit_ndmpcopy.logins import Login
from tapekit_ndmpcopy.places import Family, Place

if TYPE_CHECKING:
    from tapekit_ndmp_v4.numbers import AddrType

__all__ = ["CopyOrder", "plan_copy", "plan_file_copy"]

_ENGINE: Final = "dump"

_DUMP_NAME: Final = "ndmpcopy"
"""Subtrees need one (DMP_NAME); no dates are kept under it."""

_VOLUME_PARTS: Final = 3
"""``/vserver/volume`` in pieces between slashes."""


@final
class CopyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that the command line asks for."""

    source: Place
    destination: Place
    source_login: Login
    destination_login: Login
    level: int = 0
    """0 for a full copy, 1 to 9 for what changed since one of a lower level."""
    exclude: str = ""
    """Names that are left out, separated by commas."""
    data_family: Family | None = None
    """The address mode of the data connection, if it is fixed."""


def plan_copy(order: CopyOrder, kinds: tuple[AddrType, ...]) -> CopyPlan:
    """The copy as the client library runs it."""
    environment = (("TYPE", _ENGINE), ("LEVEL", str(order.level)), ("HIST", "n"))
    excluded = (("EXCLUDE", order.exclude),) if order.exclude else ()
    target = order.destination.path
    return CopyPlan(
        butype=_ENGINE,
        # The slash at its end asks for a directory and for nothing else.
        backup=(*environment, ("FILESYSTEM", f"{order.source.path}/"), ("UPDATE", "Y"), *excluded),
        recover=(*environment, ("FILESYSTEM", target), ("DIRECT", "n")),
        names=(Name(original_path="/", destination_path=target),),
        kinds=kinds,
    )


def plan_file_copy(order: CopyOrder, kinds: tuple[AddrType, ...]) -> CopyPlan | None:
    """The copy if its source is a single file; ``None`` if it cannot be: a
    volume is no file, and increments of a file are not made.
    """
    directory, _, name = order.source.path.rpartition("/")
    if order.level or len(directory.split("/")) < _VOLUME_PARTS:
        return None
    target = order.destination.path
    if len(target.split("/")) == _VOLUME_PARTS:
        target = f"{target}/{name}"
    environment = (("TYPE", _ENGINE), ("LEVEL", "0"), ("HIST", "n"))
    subtree = (("DMP_NAME", _DUMP_NAME), ("MULTI_SUBTREE_NAMES", f"{name}\n."))
    return CopyPlan(
        butype=_ENGINE,
        backup=(*environment, ("FILESYSTEM", directory), ("UPDATE", "N"), *subtree),
        recover=(*environment, ("FILESYSTEM", target), ("DIRECT", "n"), ("EXTRACT", "E")),
        names=(Name(original_path=f"/{name}", destination_path=target),),
        kinds=kinds,
    )
