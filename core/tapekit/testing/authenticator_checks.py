"""Whether an authenticator keeps the contract of :class:`Authenticator`.

The checks log in rightly and wrongly by every method and look at what a
refusal tells. They are async, since a refusal takes its time; run them on
:class:`trio.testing.MockClock` with ``autojump_threshold=0``. The one rule:
no secret may come out in a text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from tapekit.hookspecs.authentication import AuthMethod, LoginRefused
from tapekit.testing.expecting import expect, expect_equal, title

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tapekit.hookspecs.authentication import Authenticator, Principal

__all__ = ["check_authenticator"]

_ATTEMPTS: Final = 8
_PEER: Final = "192.0.2.7"


async def check_authenticator(
    make_authenticator: Callable[[], Authenticator], *, user: str, password: bytes
) -> None:
    """Claim everything that the contract of :class:`Authenticator` promises.

    :param make_authenticator: a fresh one at each call, without a history
        of attempts, that knows ``user`` and ``password``.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        try:
            await check(make_authenticator(), user, password)
        except (AssertionError, LoginRefused) as error:
            raise AssertionError(f"{title(check)}: {error}") from error


async def _methods(authenticator: Authenticator, _user: str, _password: bytes) -> None:
    """There is a method to log in by."""
    offered = authenticator.methods
    expect(offered, "methods is empty")
    expect(
        all(isinstance(method, AuthMethod) for method in offered),
        f"methods is {offered!r}, expected members of AuthMethod",
    )
    at_first = authenticator.svm_methods
    expect(at_first, "svm_methods is empty")
    expect(at_first <= offered, f"svm_methods is {at_first!r}, expected some of methods")


async def _right_password(authenticator: Authenticator, user: str, password: bytes) -> None:
    """The right password logs in by each method on offer, and no other."""
    for method, login in _logins(authenticator):
        if method in authenticator.methods:
            principal = await login(user, password)
            expect_equal(principal.name, user, f"name of the principal by {method.value}")
        else:
            await _expect_refused(login(user, password), f"{method.value}, which is not on offer")


async def _wrong_credentials(authenticator: Authenticator, user: str, password: bytes) -> None:
    """Nothing but the right password of a known user logs in."""
    wrong = (
        (user, password + b"x"),
        (user, password[:-1]),
        (user, b""),
        (user, password.swapcase() + b"\0"),
        (user + "x", password),
        ("", password),
        ("", b""),
        (user + "\0", password),
    )
    for method, login in _logins(authenticator):
        for name, secret in wrong:
            what = f"{method.value} with user {name!r} and a wrong user or password"
            error = await _expect_refused(login(name, secret), what)
            _expect_no_secret(error, password, what)


async def _refusals_slow_down(authenticator: Authenticator, user: str, password: bytes) -> None:
    """Each refusal takes as long as the one before, and in the end longer."""
    for method, login in _logins(authenticator):
        if method not in authenticator.methods:
            continue
        delays = []
        for _ in range(_ATTEMPTS):
            before = trio.current_time()
            await _expect_refused(login(user, password + b"x"), f"{method.value}, wrong password")
            delays.append(round(trio.current_time() - before, 1))
        expect_equal(delays, sorted(delays), f"seconds that refusals took by {method.value}")
        expect(delays[-1] > delays[0], f"refusal {_ATTEMPTS} took no longer than the first")
        return


async def _right_after_wrong(authenticator: Authenticator, user: str, password: bytes) -> None:
    """Failed attempts of a stranger's name do not lock a user out."""
    for method, login in _logins(authenticator):
        if method not in authenticator.methods:
            continue
        for _ in range(_ATTEMPTS):
            await _expect_refused(login(user + "x", password), f"{method.value}, unknown user")
        principal = await login(user, password)
        expect_equal(principal.name, user, f"name of the principal by {method.value}")


def _logins(
    authenticator: Authenticator,
) -> tuple[tuple[AuthMethod, Callable[[str, bytes], Awaitable[Principal]]], ...]:
    """Both ways to log in, as functions of a user and a password."""

    def plaintext(user: str, password: bytes) -> Awaitable[Principal]:
        return authenticator.login_plaintext(user, password, _PEER)

    def challenge(user: str, password: bytes) -> Awaitable[Principal]:
        return authenticator.login_challenge(user, lambda known: known == password, _PEER)

    return ((AuthMethod.PLAINTEXT, plaintext), (AuthMethod.CHALLENGE, challenge))


async def _expect_refused(login: Awaitable[Principal], what: str) -> LoginRefused:
    try:
        principal = await login
    except LoginRefused as error:
        return error
    raise AssertionError(f"login by {what}: gave {principal!r}, expected LoginRefused")


def _expect_no_secret(error: LoginRefused, password: bytes, what: str) -> None:
    told = f"{error} {error.explained} {error.facts!r} {error.args!r}"
    expect(
        not password or password.decode("utf-8", "replace") not in told,
        f"login by {what}: the refusal tells the password",
    )


_CHECKS: Final[tuple[Callable[[Authenticator, str, bytes], Awaitable[None]], ...]] = (
    _methods,
    _right_password,
    _wrong_credentials,
    _refusals_slow_down,
    _right_after_wrong,
)
