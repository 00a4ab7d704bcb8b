"""Removes a tree, whatever its modes and however deep.

Directories are opened relative to each other and made accessible first, so
that a copy with unreadable or read-only directories goes as well. The one
rule: no symbolic link is ever followed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tapekit_snap_copy.directory_stack import DirectoryStack

__all__ = ["remove_tree"]

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: str) -> None:
    """Remove an object and all below it; nothing if there is none.

    :param parent: open descriptor of the directory that it is in.
    :raises OSError: something cannot be removed, and all above it stays;
        ``filename`` is the directory at work, beginning with ``name``.
    """
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _remove_directory(parent, name)


def _remove_directory(parent: int, name: str) -> None:
    stack = DirectoryStack(os.dup(parent))
    # For each level the directories in it that are still to be removed.
    pending = [[name]]
    try:
        while pending[0]:
            if pending[-1]:
                stack.enter(_open(pending[-1][-1], stack.top))
                pending.append(_remove_files(stack.top))
            else:
                pending.pop()
                stack.leave()
                os.rmdir(pending[-1][-1], dir_fd=stack.top)
                pending[-1].pop()
    except OSError as error:
        place = "/".join(level[-1] for level in pending if level)
        raise OSError(error.errno, error.strerror, place) from error
    finally:
        stack.close()


def _open(name: str, parent: int) -> int:
    """Open a directory that its owner may list and change from now on."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{place}").chmod(0o700)
        return os.open(".", _DIRECTORY, dir_fd=place)
    finally:
        os.close(place)


def _remove_files(directory: int) -> list[str]:
    """Remove all that is no directory, and tell the directories."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories
