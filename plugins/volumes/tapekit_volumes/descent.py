"""The way down from the top of a tree, one directory at a time.

Every step opens one name relative to the directory before it and refuses
what is not a directory, so no symbolic link is followed and nothing outside
the tree is reached, whoever changes it meanwhile. The one rule: a path of
the machine is never built.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final, NoReturn

from tapekit_volumes.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["make_below", "open_below", "shown"]

_STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_MODE: Final = 0o755


def open_below(top: int, parts: Sequence[bytes], tree: str) -> int:
    """Open the directory that ``parts`` lead to; the caller closes it.

    :param top: open descriptor of the tree's top; stays open.
    :param tree: what the top is called in messages.
    :raises TapekitError: there is none, it is no directory, or it is on
        another file system than the top.
    """
    device = os.fstat(top).st_dev
    here = os.dup(top)
    try:
        for depth in range(len(parts)):
            here = _step(here, parts[: depth + 1], tree)
            _require_device(here, device, parts[: depth + 1], tree)
    except BaseException:
        os.close(here)
        raise
    return here


def make_below(top: int, parts: Sequence[bytes], tree: str) -> int:
    """Open the directory that ``parts`` lead to, after making what is
    missing of it, with mode 0755.

    :raises TapekitError: something else is in the way, or nothing can be
        made; then nothing has been.
    :raises OSError: ``EROFS``, the file system cannot be written.
    """
    here = os.dup(top)
    made: list[bytes] = []
    try:
        for depth, part in enumerate(parts):
            is_new = _make(here, parts[: depth + 1], tree)
            here = _step(here, parts[: depth + 1], tree)
            if is_new:
                made.append(part)
                # The mode that mkdir gives depends on the process's umask.
                os.fchmod(here, _NEW_MODE)
    except BaseException:
        _unmake(here, made)
        raise
    return here


def shown(tree: str, parts: Sequence[bytes]) -> str:
    """A path for messages: bytes that are not UTF-8 as escapes."""
    return "/".join([tree, *(part.decode("utf-8", "backslashreplace") for part in parts)])


def _step(here: int, parts: Sequence[bytes], tree: str) -> int:
    """Open the last of ``parts`` in ``here``, which is closed."""
    try:
        below = os.open(parts[-1], _STEP, dir_fd=here)
    except OSError as error:
        _refuse(here, parts, tree, error)
    os.close(here)
    return below


def _require_device(here: int, device: int, parts: Sequence[bytes], tree: str) -> None:
    if os.fstat(here).st_dev != device:
        path = shown(tree, parts)
        raise CATALOGUE.error("path-on-other-file-system", path=path, tree=tree)


def _make(here: int, parts: Sequence[bytes], tree: str) -> bool:
    """Make the last of ``parts`` in ``here``; false if something is there."""
    try:
        os.mkdir(parts[-1], _NEW_MODE, dir_fd=here)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EROFS:
            raise
        path = shown(tree, parts)
        raise CATALOGUE.error("directory-not-made", path=path, reason=error.strerror) from error
    return True


def _unmake(here: int, made: Sequence[bytes]) -> None:
    """Remove what was made on the way down to ``here``, which is closed."""
    for part in reversed(made):
        above = os.open("..", _STEP, dir_fd=here)
        os.close(here)
        here = above
        # Somebody may have begun to use it; then it stays.
        with contextlib.suppress(OSError):
            os.rmdir(part, dir_fd=here)
    os.close(here)


def _refuse(here: int, parts: Sequence[bytes], tree: str, error: OSError) -> NoReturn:
    """Explain why a step was not possible.

    :raises TapekitError: always.
    """
    path, above = shown(tree, parts), shown(tree, parts[:-1])
    kind = _kind(parts[-1], here)
    if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
        raise CATALOGUE.error("path-not-opened", path=path, reason=error.strerror) from error
    if kind is None:
        raise CATALOGUE.error("no-such-path", path=path, above=above) from error
    if kind == stat.S_IFLNK:
        raise CATALOGUE.error("path-through-link", path=path) from error
    raise CATALOGUE.error("path-is-no-directory", path=path, above=above) from error


def _kind(part: bytes, here: int) -> int | None:
    """The type of an object, ``None`` if there is none."""
    try:
        return stat.S_IFMT(os.stat(part, dir_fd=here, follow_symlinks=False).st_mode)
    except OSError:
        return None
