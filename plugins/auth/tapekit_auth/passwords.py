"""Passwords: made, read from files, and refused where everybody knows them.

NDMP's challenge uses the first 32 bytes of a password, and some servers
spoil the 32nd, so generated ones are shorter. The one rule: a password
appears in no error, no log and no representation.
"""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING, Final

from tapekit_auth.errors import CATALOGUE
from tapekit_auth.secret_files import read_secret

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GENERATED_LENGTH", "generated_password", "is_known_to_everybody", "read_password"]

GENERATED_LENGTH: Final = 16
"""Characters of a generated password, as in the guide's example."""

_ALPHABET: Final = string.ascii_letters + string.digits

_KNOWN_TO_EVERYBODY: Final = frozenset(
    {
        b"admin",
        b"backup",
        b"changeme",
        b"default",
        b"letmein",
        b"ndmp",
        b"netapp",
        b"netapp1!",
        b"netapp123",
        b"password",
        b"password1",
        b"qwerty",
        b"root",
        b"secret",
        b"tapekit",
        b"12345678",
        b"123456",
        b"1234",
    }
)
"""What scanners try first: defaults of servers and the commonest passwords."""


def generated_password() -> str:
    """A password of 16 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED_LENGTH))


def is_known_to_everybody(user: str, password: bytes) -> bool:
    """Whether a password is the user's name or a well-known default."""
    return password.lower() in {*_KNOWN_TO_EVERYBODY, user.lower().encode("utf-8", "surrogatepass")}


def read_password(user: str, file: Path) -> bytes:
    """The password of a user from a file that has it on its only line.

    :raises TapekitError: the file is not the owner's alone, or the password
        is none.
    """
    password = read_secret(file).removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in password:
        raise CATALOGUE.error("password-not-one-line", user=user, file=file)
    if not password:
        raise CATALOGUE.error("empty-password", user=user, file=file)
    if is_known_to_everybody(user, password):
        raise CATALOGUE.error("default-password", user=user, file=file)
    return password
