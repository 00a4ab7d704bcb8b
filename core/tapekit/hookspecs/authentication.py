"""Authentication: who a DMA is, and what it may do.

The protocol runs the exchange (NDMP v4, CONNECT_CLIENT_AUTH); an
authenticator judges it. It never hands out a secret: it compares.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AccountContext",
    "AuthMethod",
    "Authenticator",
    "LoginRefused",
    "Principal",
    "tapekit_provide_authenticator",
]

from tapekit.errors import TapekitError


class AuthMethod(enum.Enum):
    """How a client proves who it is."""

    NONE = "none"
    PLAINTEXT = "plaintext"
    CHALLENGE = "challenge"


class AccountContext(enum.Enum):
    """What an account belongs to."""

    CLUSTER = "cluster"
    SVM = "svm"
    NODE = "node"
    """It is for the node-scoped NDMP mode alone."""


class Principal(msgspec.Struct, frozen=True):
    """Somebody who has logged in.

    ``svms`` limits the paths that the principal may use to those storage
    virtual machines; empty means all. ``contexts`` are those of the account's
    roles; none is for who needs no account.
    """

    name: str
    roles: frozenset[str] = frozenset()
    svms: frozenset[str] = frozenset()
    contexts: frozenset[AccountContext] = frozenset()


class LoginRefused(TapekitError):
    """The credentials are wrong, the method is off, or the role does not fit."""


class Authenticator(Protocol):
    """Judges logins. Calls are async because a refusal takes its time."""

    @property
    def methods(self) -> frozenset[AuthMethod]:
        """The methods by which it judges logins."""
        ...

    @property
    def svm_methods(self) -> frozenset[AuthMethod]:
        """Those of them by which a storage virtual machine may be used until
        an administrator says otherwise.
        """
        ...

    async def login_plaintext(self, user: str, password: bytes, peer: str) -> Principal:
        """Judge a user and a password in clear.

        :param peer: the client's address, for the limit on attempts.
        :raises LoginRefused: after a delay that grows with failed attempts.
        """
        ...

    async def login_challenge(
        self, user: str, answers: Callable[[bytes], bool], peer: str
    ) -> Principal:
        """Judge an answer to a challenge.

        :param answers: tells whether the client's digest is the right one
            for a password (NDMP v4, the MD5 digest); compares in constant time.
        :raises LoginRefused: after a delay that grows with failed attempts.
        """
        ...


@hookspec
def tapekit_provide_authenticator() -> Authenticator | None:
    """Offer the stack's authenticator.

    Called once. At most one plugin may answer; a second one stops the start
    with ``core.duplicate-provider``. With none, only the method none is
    offered, and only on loopback.
    """
