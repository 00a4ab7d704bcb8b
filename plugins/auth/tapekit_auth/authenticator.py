"""The judge of logins.

Looking up, comparing and counting happen without a pause, so that attempts
made at once are counted one by one; only then the reply waits. Whether a
user is unknown or a password wrong cannot be told from the text, the work
or the time. The one rule: every refusal is an event and a line in the log,
and neither has a secret in it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.console import printable
from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import AuthMethod, LoginRefused, Principal
from tapekit.hookspecs.events import Event
from tapekit_auth.errors import CATALOGUE
from tapekit_auth.roles import permit_ndmp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_auth.accounts import Account, Accounts
    from tapekit_auth.attempts import Attempts
    from tapekit_auth.roles import Role

__all__ = ["PasswordAuthenticator"]

_LOG: Final = logging.getLogger("tapekit.auth")
_LONGEST_SHOWN: Final = 64


@final
class PasswordAuthenticator:
    """Compares passwords of users; see ``tapekit.hookspecs.authentication``."""

    def __init__(
        self, methods: Iterable[str], roles: Mapping[str, Role], attempts: Attempts
    ) -> None:
        self._methods: Final = frozenset(map(AuthMethod, methods))
        self._roles: Final = roles
        self._attempts: Final = attempts
        self._kernel: Kernel | None = None
        self._accounts: Accounts | None = None

    def settle(self, kernel: Kernel, accounts: Accounts) -> None:
        """Learn who the users are and whom to tell; before any login."""
        self._kernel, self._accounts = kernel, accounts

    @property
    def methods(self) -> frozenset[AuthMethod]:
        """The methods on offer."""
        return self._methods

    async def login_plaintext(self, user: str, password: bytes, peer: str) -> Principal:
        """See :meth:`Authenticator.login_plaintext`."""
        return await self._login(
            AuthMethod.PLAINTEXT, user, lambda known: _same(known, password), peer
        )

    async def login_challenge(
        self, user: str, answers: Callable[[bytes], bool], peer: str
    ) -> Principal:
        """See :meth:`Authenticator.login_challenge`."""
        return await self._login(AuthMethod.CHALLENGE, user, answers, peer)

    async def _login(
        self, method: AuthMethod, user: str, is_right: Callable[[bytes], bool], peer: str
    ) -> Principal:
        now_s = trio.current_time()
        delay_s = self._attempts.delay_s(user, peer, now_s)
        try:
            principal = self._judged(method, user, is_right, peer)
        except LoginRefused as refusal:
            self._attempts.failed(user, peer, now_s)
            _LOG.warning("%s", refusal)
            self._announce("auth.login-refused", method, user, peer, reason=refusal.id)
            await trio.sleep(delay_s)
            raise
        await trio.sleep(delay_s)
        # Not before the reply: the next attempt would tell by its delay.
        self._attempts.succeeded(user, peer)
        _LOG.info("login of user %s from %s accepted", _shown(user), peer)
        self._announce("auth.login-accepted", method, user, peer)
        return principal

    def _judged(
        self, method: AuthMethod, name: str, is_right: Callable[[bytes], bool], peer: str
    ) -> Principal:
        shown = _shown(name)
        if method not in self._methods:
            raise CATALOGUE.raised_as(
                LoginRefused, "method-off", user=shown, peer=peer, method=method.value
            )
        account = self._account(name)
        # Compared first, also for nobody: the same work for any name.
        if account is None or not is_right(account.password) or account.user is None:
            raise CATALOGUE.raised_as(LoginRefused, "wrong-credentials", user=shown, peer=peer)
        user = account.user
        if not permit_ndmp(user.roles, user.svms, self._roles):
            raise CATALOGUE.raised_as(
                LoginRefused, "role-refused", user=shown, peer=peer, roles=", ".join(user.roles)
            )
        return Principal(user.name, frozenset(user.roles), frozenset(user.svms))

    def _account(self, name: str) -> Account | None:
        """The account; ``None`` if what is kept of it cannot be used, which
        is told to the operator and not to the client.
        """
        assert self._accounts is not None
        try:
            return self._accounts.account(name)
        except TapekitError as error:
            _LOG.error("%s", error.advice)
            return None

    def _announce(self, event: str, method: AuthMethod, user: str, peer: str, **more: str) -> None:
        assert self._kernel is not None
        facts = {"user": _shown(user), "peer": peer, "method": method.value, **more}
        self._kernel.announce(Event(name=event, facts=facts, time_s=self._kernel.clock()))


def _same(known: bytes, given: bytes) -> bool:
    """Whether they are equal, in a time that depends on neither content nor
    the length of what is known.
    """
    return hmac.compare_digest(hashlib.sha256(known).digest(), hashlib.sha256(given).digest())


def _shown(name: str) -> str:
    """What a client sent as a name, fit for a line of a log."""
    return printable(name[:_LONGEST_SHOWN])
