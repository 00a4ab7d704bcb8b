"""ACLs of restored objects, and what becomes of those that cannot be set.

An ACL that is too long for this engine or for the destination becomes a
default ACL with a warning; one that the destination does not know is told
like any other attribute. The one rule: without its POSIX ACL an object gets
no more group rights than the ACL gave to its group.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Final

from tapekit_dump.acl_limits import ACES_KEPT, count_entries, stand_in, within_limit
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.posix_acl import ACCESS_ACL, minimal_acl, mode_without

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.errors import TapekitError

__all__ = ["set_acl"]

_TOO_LONG: Final = frozenset({errno.E2BIG, errno.ENOSPC, errno.ERANGE, errno.EINVAL})
"""How file systems say that an ACL has too many entries."""


def set_acl(
    target: int | str,
    name: str,
    value: bytes,
    mode: int,
    path: Callable[[], str],
    warn: Callable[[TapekitError], None],
) -> int:
    """Set an ACL, or what stands in for it.

    :param mode: the permissions that the object is to get.
    :returns: the permissions that it may get.
    :raises OSError: the destination refuses the attribute as such.
    """
    kept, too_long = within_limit({name: value})
    for _, entries in too_long:
        warn(
            CATALOGUE.error(
                "acl-too-long", path=path(), name=name, entries=entries, limit=ACES_KEPT
            )
        )
    if name not in kept or (name == ACCESS_ACL and kept[name] == minimal_acl(kept[name])):
        return _do_without(target, name, value, mode)
    try:
        os.setxattr(target, name, kept[name])
    except OSError as error:
        if error.errno not in _TOO_LONG:
            raise
        warn(
            CATALOGUE.error(
                "acl-replaced",
                path=path(),
                name=name,
                entries=count_entries(name, value) or "unreadable",
                reason=error.strerror,
            )
        )
        return _set_stand_in(target, name, kept[name], mode)
    return mode


def _set_stand_in(target: int | str, name: str, value: bytes, mode: int) -> int:
    substitute = None if name == ACCESS_ACL else stand_in(name, value)
    if substitute is None:
        return _do_without(target, name, value, mode)
    os.setxattr(target, name, substitute)
    return mode


def _do_without(target: int | str, name: str, value: bytes, mode: int) -> int:
    """Leave an object with its mode alone; a directory may have an older ACL."""
    # Most objects have none, and many file systems do not know any.
    with contextlib.suppress(OSError):
        os.removexattr(target, name)
    return mode_without(mode, value) if name == ACCESS_ACL else mode
