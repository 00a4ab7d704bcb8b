"""Files that hold a secret.

A file is judged by the descriptor that is then read, so that nobody can
change it in between; a new one appears whole under its name or not at all.
The one rule: what others may read or write is not a secret, and is refused.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from tapekit_auth.errors import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["create_secret", "read_secret"]

_LONGEST_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def read_secret(file: Path) -> bytes:
    """The content of a file of up to 4 KiB that is its owner's alone.

    :raises TapekitError: it cannot be read, or others can read or change it.
    """
    try:
        # A pipe in the file's place would otherwise be waited for.
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = stat.S_IMODE(os.fstat(opened).st_mode)
            if mode & _OTHERS:
                raise CATALOGUE.error("secret-open-to-others", file=file, mode=f"{mode:04o}")
            return os.read(opened, _LONGEST_BYTES)
        finally:
            os.close(opened)
    except OSError as error:
        raise CATALOGUE.error("secret-unreadable", file=file, reason=error.strerror) from error


def create_secret(file: Path, content: bytes) -> bool:
    """Make a secret file, durable on return; ``False`` if it exists already.

    :raises TapekitError: it cannot be made.
    """
    try:
        file.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        return _create(file, content)
    except OSError as error:
        raise CATALOGUE.error("secret-not-made", file=file, reason=error.strerror) from error


def _create(file: Path, content: bytes) -> bool:
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, content)
        # Unlike a rename, a link never takes the place of another file.
        file.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
        _flush_folder(file.parent)
    return True


def _write(file: Path, content: bytes) -> None:
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(opened, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(opened)


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
