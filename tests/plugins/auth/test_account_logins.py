"""Logins of accounts: what the judge asks of them beside the password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.authentication import LoginRefused
from tapekit_auth.accounts import Accounts, StoredUsers, User
from tapekit_auth.attempts import Attempts
from tapekit_auth.authenticator import PasswordAuthenticator
from tapekit_auth.logins import Application, Login, LoginMethod, random_credential
from tapekit_auth.plugin import AuthPlugin
from tapekit_auth.roles import roles_with
from tapekit_auth.sealing import KeyFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from tapekit.kernel import StackKernel

PEER = "192.0.2.7"


class Judge:
    """A judge of logins, its accounts and the name service it asks."""

    def __init__(self, kernel: StackKernel, folder: Path, names: Any) -> None:
        self.names = names
        self.stored = StoredUsers(kernel.state, KeyFile(folder / "auth.key"))
        methods = ("challenge", "plaintext")
        self.authenticator = PasswordAuthenticator(methods, roles_with(()), Attempts(), names)
        self.authenticator.settle(kernel, Accounts({}, self.stored))

    def account(self, login: Login) -> str:
        """An account of nina, and its NDMP password."""
        user = User("nina", ("vsadmin",), ("vs1", "vs2"), "state store", login)
        self.stored.add_account(user, random_credential())
        return self.stored.make_password("nina", self.names.mark("nina"))

    async def refusal(self, user: str, password: str) -> str:
        """The row by which a login is refused."""
        with pytest.raises(LoginRefused) as refused:
            await self.authenticator.login_plaintext(user, password.encode(), PEER)
        assert password not in refused.value.advice
        return refused.value.id


@pytest.fixture
def judge(
    assembled: Callable[..., StackKernel], tmp_path: Path, memory_names: Callable[..., Any]
) -> Judge:
    return Judge(assembled(AuthPlugin), tmp_path, memory_names(nina="$6$first"))


DIRECTORY = Login((Application.SSH,), LoginMethod.NSSWITCH)


@pytest.mark.requirement("R178")
async def test_a_user_of_a_directory_logs_in_for_several_svms(judge: Judge) -> None:
    password = judge.account(DIRECTORY).encode()
    for login in (
        judge.authenticator.login_plaintext("nina", password, PEER),
        judge.authenticator.login_challenge("nina", lambda known: known == password, PEER),
    ):
        assert (await login).svms == {"vs1", "vs2"}


@pytest.mark.requirement("R178")
@pytest.mark.requirement("R181")
async def test_the_directory_decides_whether_an_ndmp_password_serves(
    judge: Judge, autojump_clock: MockClock
) -> None:
    password = judge.account(DIRECTORY)
    judge.names.shown["nina"] = "$6$second"
    assert await judge.refusal("nina", password) == "auth.login-password-changed"
    assert await judge.refusal("nina", "Guess7") == "auth.wrong-credentials"
    del judge.names.shown["nina"]
    assert await judge.refusal("nina", password) == "auth.gone-from-names"
    judge.names.shown["nina"] = "$6$first"
    await judge.authenticator.login_plaintext("nina", password.encode(), PEER)


@pytest.mark.requirement("R178")
async def test_a_user_of_active_directory_is_refused_clearly(judge: Judge) -> None:
    assert await judge.refusal("EXAMPLE\\nina", "any") == "auth.active-directory-login"


@pytest.mark.requirement("R179")
@pytest.mark.parametrize(
    "login",
    [
        Login((Application.CONSOLE, Application.HTTP), LoginMethod.PASSWORD),
        Login((Application.SSH,), LoginMethod.PUBLICKEY),
    ],
)
async def test_an_account_without_ssh_by_password_is_refused(judge: Judge, login: Login) -> None:
    password = judge.account(login)
    assert await judge.refusal("nina", "Guess7") == "auth.wrong-credentials"
    assert await judge.refusal("nina", password) == "auth.application-missing"
