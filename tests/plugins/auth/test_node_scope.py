"""Credentials of the node-scoped NDMP mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit.hookspecs.authentication import AccountContext
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_auth.accounts import Accounts, StoredUsers
from tapekit_auth.commands import password_app
from tapekit_auth.name_service import MachineNames
from tapekit_auth.roles import permitted_contexts, roles_with
from tapekit_auth.sealing import KeyFile

if TYPE_CHECKING:
    from pathlib import Path

ROLES = roles_with(())


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts({}, StoredUsers(MemoryStateStore(), KeyFile(tmp_path / "auth.key")))


def password(accounts: Accounts, *arguments: str) -> str:
    """What ``system services ndmp password`` makes."""
    app = password_app(lambda: accounts, MachineNames(), of_svm=False)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    shown = re.fullmatch(r"User: \w+\nPassword: ([A-Za-z0-9]{16})\n", result.stdout)
    assert shown is not None, result.output
    return shown[1]


@pytest.mark.requirement("R174")
def test_root_has_no_password_until_one_is_made(accounts: Accounts) -> None:
    assert accounts.account("root").user is None
    first = password(accounts)
    account = accounts.account("root")
    assert account.password.decode() == first
    assert account.user is not None
    assert account.user.roles == ("node-scope",)
    assert password(accounts) != first
    assert accounts.account("root").password.decode() != first


@pytest.mark.requirement("R174")
def test_another_user_may_have_the_role(accounts: Accounts) -> None:
    accounts.stored.add("backup1", ["node-scope"], [], "made for the test")
    assert accounts.account("backup1").password.decode() != password(accounts, "-user", "backup1")
    assert accounts.account("root").user is None


@pytest.mark.parametrize(
    ("roles", "svms", "contexts"),
    [
        (["node-scope"], [], {AccountContext.NODE}),
        (["backup"], [], {AccountContext.CLUSTER}),
        (["vsadmin"], ["vs1"], {AccountContext.SVM}),
        (["vsadmin"], [], set()),
        (["vsadmin", "admin"], ["vs1"], {AccountContext.SVM, AccountContext.CLUSTER}),
        (["unknown"], [], set()),
    ],
)
def test_a_role_says_where_its_users_belong(
    roles: list[str], svms: list[str], contexts: set[AccountContext]
) -> None:
    assert permitted_contexts(roles, svms, ROLES) == contexts
