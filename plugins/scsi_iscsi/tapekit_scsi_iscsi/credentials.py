"""User names and passwords by which this host and its targets prove who they are.

The file is TOML with a table a target. It is read at every login, so that a
changed password counts from the next opening on. The one rule: a file that
others may read is refused, and no password ever stands in a message.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec

from tapekit_scsi_iscsi.errors import CATALOGUE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Chap", "read_credentials"]

_LONGEST_BYTES: Final = 1 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Chap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How this host proves itself to a target, and the target itself to it."""

    user: str
    password: str
    target_user: str | None = None
    """What the target calls itself, where it has to prove itself too."""
    target_password: str | None = None

    def __post_init__(self) -> None:
        """Refuse half of what a target needs."""
        if (self.target_user is None) != (self.target_password is None):
            raise ValueError("target_user and target_password belong together")

    def __repr__(self) -> str:
        return f"Chap(user={self.user!r})"


def read_credentials(file: Path) -> dict[str, Chap]:
    """The credentials in a file, by target name.

    :raises TapekitError: it cannot be read, others can read or change it, or
        it is not what it should be.
    """
    try:
        # A pipe in the file's place would otherwise be waited for.
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            mode = stat.S_IMODE(os.fstat(opened).st_mode)
            if mode & _OTHERS:
                raise CATALOGUE.error("credentials-open", file=file, mode=f"{mode:04o}")
            content = os.read(opened, _LONGEST_BYTES)
        finally:
            os.close(opened)
    except OSError as error:
        raise CATALOGUE.error("credentials-unreadable", file=file, reason=error.strerror) from error
    try:
        return msgspec.toml.decode(content, type=dict[str, Chap])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The error may quote the line with the password; only its kind is told.
        reason = str(error) if isinstance(error, msgspec.ValidationError) else "not valid TOML"
        raise CATALOGUE.error("credentials-malformed", file=file, reason=reason) from None
