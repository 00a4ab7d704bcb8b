"""How the login account of a user is set up, and the secrets that come of it.

An account has applications and one way to prove who uses it; NDMP wants the
application ssh, with a login password or with a user of the machine's name
service. The NDMP password is derived from what the account has for a login
password, so it stays the same until that changes and tells nothing about it.
The one rule: a login password is kept by no one, only what scrypt makes of it.
"""

from __future__ import annotations

import enum
import hashlib
import re
import secrets
import string
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tapekit_auth.errors import CATALOGUE
from tapekit_auth.passwords import GENERATED_LENGTH, is_known_to_everybody
from tapekit_auth.settings import UserName

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Application",
    "Login",
    "LoginMethod",
    "credential_of",
    "derived_password",
    "is_of_a_domain",
    "random_credential",
    "require_login_password",
    "require_user_name",
]

_ALPHABET: Final = string.ascii_letters + string.digits
_SHORTEST: Final = 8
_DERIVED_BYTES: Final = 32

# What RFC 7914 proposes for logins that a human waits for.
_SCRYPT_COST: Final = 1 << 14
_SCRYPT_BLOCK: Final = 8


class Application(enum.Enum):
    """What an account may be used for, as ``-application`` names it."""

    SSH = "ssh"
    CONSOLE = "console"
    HTTP = "http"


class LoginMethod(enum.Enum):
    """How its user proves who it is, as ``-authentication-method`` names it."""

    PASSWORD = "password"  # noqa: S105 - the name of a method
    PUBLICKEY = "publickey"
    NSSWITCH = "nsswitch"
    """By NIS, LDAP or whatever else the machine's name service asks."""
    DOMAIN = "domain"
    """By Active Directory, which NDMP does not support."""


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an account is set up."""

    applications: tuple[Application, ...]
    method: LoginMethod

    def permits_ndmp(self) -> bool:
        """Whether the account is fully set up for NDMP."""
        proves = self.method in {LoginMethod.PASSWORD, LoginMethod.NSSWITCH}
        return proves and Application.SSH in self.applications


def is_of_a_domain(name: str) -> bool:
    r"""Whether a name is one of Active Directory: ``DOMAIN\user``."""
    return "\\" in name


def require_user_name(name: str) -> None:
    """Make sure that a user may be called so.

    :raises TapekitError: nobody may.
    """
    if is_of_a_domain(name):
        raise CATALOGUE.error("active-directory-account", user=ascii(name))
    try:
        msgspec.convert(name, UserName)
    except msgspec.ValidationError:
        raise CATALOGUE.error("bad-user-name", user=ascii(name)) from None


def require_login_password(user: str, password: str) -> None:
    """Make sure that a login password is not what everybody tries first.

    :raises TapekitError: it is, or it is short or of one kind of character.
    """
    is_mixed = re.search(r"[^\W\d_]", password) and re.search(r"\d", password)
    is_short = len(password) < _SHORTEST
    if is_short or not is_mixed or is_known_to_everybody(user, _bytes(password)):
        raise CATALOGUE.error("weak-login-password", user=user, shortest=_SHORTEST)


def credential_of(password: str) -> bytes:
    """What is kept for a login password: different each time, and no way back.

    It takes about a twentieth of a second.
    """
    salt = secrets.token_bytes(16)
    return hashlib.scrypt(_bytes(password), salt=salt, n=_SCRYPT_COST, r=_SCRYPT_BLOCK, p=1)


def _bytes(password: str) -> bytes:
    """Its bytes, also those that are no text, as terminals and files can have."""
    return password.encode("utf-8", "surrogateescape")


def random_credential() -> bytes:
    """What is kept for a login password that somebody else judges."""
    return secrets.token_bytes(64)


def derived_password(credential: bytes, salt: bytes, user: str, svms: Sequence[str]) -> str:
    """The NDMP password of an account: 16 letters and digits, by HKDF (RFC 5869)."""
    purpose = msgspec.json.encode(("tapekit NDMP password", user, svms))
    key = HKDF(SHA256(), _DERIVED_BYTES, salt, purpose).derive(credential)
    # 62 to the power of 16 is so much less than 2 to the power of 256 that
    # no letter is likelier than another by a measure that matters.
    number, letters = int.from_bytes(key), []
    for _ in range(GENERATED_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)
