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
from tapekit.hookspecs.authentication import (
    AccountContext,
    AuthMethod,
    LoginRefused,
    Principal,
)
from tapekit.hookspecs.events import Event
from tapekit_auth.errors import CATALOGUE
from tapekit_auth.logins import LoginMethod, is_of_a_domain
from tapekit_auth.roles import permitted_contexts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_auth.accounts import Account, Accounts, User
    from tapekit_auth.attempts import Attempts
    from tapekit_auth.name_service import NameService
    from tapekit_auth.roles import Role

__all__ = ["PasswordAuthenticator"]

_LOG: Final = logging.getLogger("tapekit.auth")
_LONGEST_SHOWN: Final = 64
_BOTH: Final = frozenset({AuthMethod.PLAINTEXT, AuthMethod.CHALLENGE})
_WITHOUT_CLEAR_TEXT: Final = frozenset({AuthMethod.CHALLENGE})


@final
class PasswordAuthenticator:
    """Compares passwords of users; see ``tapekit.hookspecs.authentication``."""

    def __init__(
        self,
        methods: Iterable[str] | None,
        roles: Mapping[str, Role],
        attempts: Attempts,
        names: NameService,
    ) -> None:
        """:param methods: what the settings say, if anything."""
        self._is_free: Final = methods is None
        self._methods: Final = _BOTH if methods is None else frozenset(map(AuthMethod, methods))
        self._roles: Final = roles
        self._attempts: Final = attempts
        self._names: Final = names
        self._kernel: Kernel | None = None
        self._accounts: Accounts | None = None

    def settle(self, kernel: Kernel, accounts: Accounts) -> None:
        """Learn who the users are and whom to tell; before any login."""
        self._kernel, self._accounts = kernel, accounts

    @property
    def methods(self) -> frozenset[AuthMethod]:
        """The methods of the settings, or both."""
        return self._methods

    @property
    def svm_methods(self) -> frozenset[AuthMethod]:
        """The methods of the settings, or the challenge alone."""
        return _WITHOUT_CLEAR_TEXT if self._is_free else self._methods

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
            principal, account = self._judged(method, user, is_right, peer)
            await self._require_unchanged(account, peer)
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
    ) -> tuple[Principal, Account]:
        shown = _shown(name)
        if is_of_a_domain(name):
            raise CATALOGUE.raised_as(LoginRefused, "active-directory-login", user=shown, peer=peer)
        account = self._account(name)
        # Compared first, also for nobody: the same work for any name.
        user = account.user if account is not None and is_right(account.password) else None
        contexts = self._contexts(user)
        # Credentials of the node always have the challenge. Who has none must
        # not learn from a method that is off whether a password is right.
        is_always_on = method is AuthMethod.CHALLENGE and AccountContext.NODE in contexts
        if method not in self._methods and not is_always_on:
            raise CATALOGUE.raised_as(
                LoginRefused, "method-off", user=shown, peer=peer, method=method.value
            )
        if account is None or user is None:
            raise CATALOGUE.raised_as(LoginRefused, "wrong-credentials", user=shown, peer=peer)
        if not contexts:
            raise CATALOGUE.raised_as(
                LoginRefused, "role-refused", user=shown, peer=peer, roles=", ".join(user.roles)
            )
        if user.login is not None and not user.login.permits_ndmp():
            raise CATALOGUE.raised_as(LoginRefused, "application-missing", user=shown, peer=peer)
        principal = Principal(user.name, frozenset(user.roles), frozenset(user.svms), contexts)
        return principal, account

    async def _require_unchanged(self, account: Account, peer: str) -> None:
        """Ask the name service about a user of its own, who has given the right
        NDMP password: whether the login password is still the same.
        """
        user = account.user
        if user is None or user.login is None or user.login.method is not LoginMethod.NSSWITCH:
            return
        mark = await trio.to_thread.run_sync(self._names.mark, user.name, abandon_on_cancel=True)
        shown = _shown(user.name)
        if mark is None:
            raise CATALOGUE.raised_as(LoginRefused, "gone-from-names", user=shown, peer=peer)
        if mark != account.mark:
            raise CATALOGUE.raised_as(LoginRefused, "login-password-changed", user=shown, peer=peer)

    def _contexts(self, user: User | None) -> frozenset[AccountContext]:
        if user is None:
            return frozenset()
        return permitted_contexts(user.roles, user.svms, self._roles)

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
