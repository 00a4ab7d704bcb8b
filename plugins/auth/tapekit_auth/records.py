"""What the state store keeps of a user, and what is inside its seal.

There are two kinds of records, told apart by ``format``: a user who has an
NDMP password and nothing else, and a login account, from which an NDMP
password comes. The one rule: everything that decides what a user may is
bound to the seal, so that no record can be changed without the key.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tapekit_auth.errors import CATALOGUE
from tapekit_auth.logins import Login

__all__ = ["AccountRecord", "AccountSecrets", "Record", "UserRecord", "decoded"]


class UserRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag=1
):
    """A user with an NDMP password; ``sealed`` holds it."""

    roles: tuple[str, ...]
    svms: tuple[str, ...]
    sealed: bytes

    @property
    def login(self) -> Login | None:
        """There is none."""
        return None


class AccountRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag=2
):
    """A login account; ``sealed`` holds :class:`AccountSecrets`."""

    roles: tuple[str, ...]
    svms: tuple[str, ...]
    login: Login
    sealed: bytes


Record: TypeAlias = UserRecord | AccountRecord


class AccountSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an account has under seal."""

    credential: bytes
    """Made of the login password, or random if somebody else judges that."""
    salt: bytes
    """Of the NDMP password."""
    mark: bytes = b""
    """Of the name service's entry, when the NDMP password was made."""
    ndmp_password: str | None = None
    """``None`` until it is made, and again when the login password changes."""

    def __repr__(self) -> str:
        return "<AccountSecrets>"


def decoded(name: str, data: bytes) -> Record:
    """The record of a user.

    :raises TapekitError: it is damaged.
    """
    try:
        record: Record = msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("record-damaged", user=name, reason=error) from error
    return record
