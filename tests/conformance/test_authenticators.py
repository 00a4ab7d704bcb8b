"""The login checks over every authenticator, and over ones with one fault each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit.errors import Fault
from tapekit.hookspecs.authentication import AuthMethod, LoginRefused, Principal
from tapekit.kernel import assemble, installed
from tapekit.testing import check_authenticator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.authentication import Authenticator

USER = "dma"
PASSWORD = b"Correct0Horse1Ba"


class OneUser:
    """An authenticator with one user; the subclasses do one thing wrong."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    @property
    def methods(self) -> frozenset[AuthMethod]:
        return frozenset({AuthMethod.PLAINTEXT, AuthMethod.CHALLENGE})

    @property
    def svm_methods(self) -> frozenset[AuthMethod]:
        return self.methods

    async def login_plaintext(self, user: str, password: bytes, peer: str) -> Principal:
        return await self._judge(user, peer, is_right=password == PASSWORD)

    async def login_challenge(
        self, user: str, answers: Callable[[bytes], bool], peer: str
    ) -> Principal:
        return await self._judge(user, peer, is_right=answers(PASSWORD))

    async def _judge(self, user: str, _peer: str, *, is_right: bool) -> Principal:
        if user == USER and is_right:
            return Principal(user)
        self._failed[user] = self._failed.get(user, 0) + 1
        await self._wait(self._failed[user])
        raise self._refusal(user)

    async def _wait(self, failed: int) -> None:
        await trio.sleep(failed)

    def _refusal(self, user: str) -> LoginRefused:
        fault = Fault(id="x.refused", message="{user} is refused", cause="-", action="-")
        return LoginRefused(fault, {"user": user})


class PlaintextOnly(OneUser):
    @property
    def methods(self) -> frozenset[AuthMethod]:
        return frozenset({AuthMethod.PLAINTEXT})

    async def login_challenge(
        self, user: str, answers: Callable[[bytes], bool], peer: str
    ) -> Principal:
        del answers, peer
        raise self._refusal(user)


class MethodIsNotOff(PlaintextOnly):
    login_challenge = OneUser.login_challenge


class PrefixIsEnough(OneUser):
    async def login_plaintext(self, user: str, password: bytes, peer: str) -> Principal:
        return await self._judge(user, peer, is_right=PASSWORD.startswith(password))


class AnyUser(OneUser):
    async def _judge(self, user: str, _peer: str, *, is_right: bool) -> Principal:
        return await super()._judge(USER if user else "", _peer, is_right=is_right)


class NoDelay(OneUser):
    async def _wait(self, failed: int) -> None:
        del failed


class TellsTheSecret(OneUser):
    def _refusal(self, user: str) -> LoginRefused:
        refusal = super()._refusal(user)
        return LoginRefused(refusal.fault, {"user": user, "wanted": PASSWORD.decode()})


class LocksOut(OneUser):
    async def _judge(self, user: str, peer: str, *, is_right: bool) -> Principal:
        is_right = is_right and sum(self._failed.values()) < 8
        return await super()._judge(user, peer, is_right=is_right)


@pytest.mark.parametrize("methods", [["challenge", "plaintext"], ["challenge"], ["plaintext"]])
async def test_logins_of_a_stack_keep_the_contract(
    methods: list[str], tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    password_file = tmp_path / "password"
    password_file.touch(mode=0o600)
    password_file.write_bytes(PASSWORD + b"\n")
    stack = tmp_path / "tapekit.toml"
    stack.write_text(
        'plugins = ["auth"]\n\n[auth]\n'
        f"methods = {methods}\n"
        f'users = [{{ name = "{USER}", password_file = "password" }}]\n'
    )

    def fresh() -> Authenticator:
        authenticator = assemble(stack, installed(), clock=lambda: 0.0).authenticator
        assert authenticator is not None
        return authenticator

    await check_authenticator(fresh, user=USER, password=PASSWORD)
    assert autojump_clock.current_time() > 1


@pytest.mark.parametrize("authenticator", [OneUser, PlaintextOnly])
async def test_right_authenticators_pass(
    authenticator: Any, autojump_clock: trio.testing.MockClock
) -> None:
    await check_authenticator(authenticator, user=USER, password=PASSWORD)
    assert autojump_clock.current_time() > 1


@pytest.mark.parametrize(
    ("authenticator", "words"),
    [
        (MethodIsNotOff, "challenge, which is not on offer"),
        (PrefixIsEnough, "plaintext with user 'dma' and a wrong"),
        (AnyUser, "user 'dmax'"),
        (NoDelay, "no longer than the first"),
        (TellsTheSecret, "tells the password"),
        (LocksOut, "right after wrong"),
    ],
)
async def test_a_fault_is_found_and_told(
    authenticator: Any, words: str, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    with pytest.raises(AssertionError, match=words):
        await check_authenticator(authenticator, user=USER, password=PASSWORD)
