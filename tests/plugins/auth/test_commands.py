"""``tapekit auth``."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_auth.accounts import Account, Accounts, StoredUsers, User
from tapekit_auth.commands import command_app, password_app
from tapekit_auth.name_service import MachineNames
from tapekit_auth.roles import roles_with
from tapekit_auth.sealing import KeyFile

if TYPE_CHECKING:
    from pathlib import Path

LISTED = User("listed", ("backup",), (), "stack file")


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    stored = StoredUsers(MemoryStateStore(), KeyFile(tmp_path / "auth.key"))
    return Accounts({"listed": Account(LISTED, b"Password of a file")}, stored)


def output(accounts: Accounts, *arguments: str) -> str:
    app = command_app(lambda: accounts, roles_with(()))
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def refusal(accounts: Accounts, *arguments: str) -> TapekitError:
    with pytest.raises(TapekitError) as refused:
        output(accounts, *arguments)
    return refused.value


@pytest.mark.requirement("R180")
def test_add_prints_the_password_that_then_holds(accounts: Accounts) -> None:
    text = output(accounts, "add", "anna", "--role", "vsadmin", "--svm", "vs1", "--svm", "vs2")
    shown = re.fullmatch(r"User: anna\nPassword: ([A-Za-z0-9]{16})\n", text)
    assert shown is not None
    account = accounts.account("anna")
    assert account.password.decode() == shown[1]
    assert account.user == User("anna", ("vsadmin",), ("vs1", "vs2"), "state store")


def test_add_makes_a_backup_user_of_all_svms_by_default(accounts: Accounts) -> None:
    output(accounts, "add", "anna")
    assert accounts.account("anna").user == User("anna", ("backup",), (), "state store")


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        (("listed",), "user-in-stack-file"),
        (("an na",), "bad-user-name"),
        (("anna\n",), "bad-user-name"),
        (("a" * 65,), "bad-user-name"),
        (("anna", "--role", "king"), "unknown-role"),
        (("anna", "--role", "vsadmin-backup"), "role-needs-svm"),
    ],
)
def test_add_refuses(arguments: tuple[str, ...], row: str, accounts: Accounts) -> None:
    assert refusal(accounts, "add", *arguments).id == f"auth.{row}"
    assert accounts.users() == [LISTED]


def test_add_does_not_change_a_user(accounts: Accounts) -> None:
    output(accounts, "add", "anna")
    before = accounts.account("anna")
    assert refusal(accounts, "add", "anna").id == "auth.user-exists"
    assert accounts.account("anna") == before


def test_remove_forgets_a_user(accounts: Accounts) -> None:
    output(accounts, "add", "anna")
    assert output(accounts, "remove", "anna") == "removed anna\n"
    assert accounts.account("anna").user is None


@pytest.mark.parametrize(
    ("user", "row"), [("listed", "user-in-stack-file"), ("anna", "no-such-user")]
)
def test_remove_refuses(user: str, row: str, accounts: Accounts) -> None:
    assert refusal(accounts, "remove", user).id == f"auth.{row}"


def test_list_shows_everybody_and_no_password(accounts: Accounts) -> None:
    password = output(accounts, "add", "anna", "--svm", "vs1").split()[-1]
    text = output(accounts, "list")
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert [line.split() for line in text.splitlines()] == [
        ["User", "Roles", "SVMs", "Kept", "in"],
        ["listed", "backup", "all", "stack", "file"],
        ["anna", "backup", "vs1", "state", "store"],
    ]
    assert password not in text


def test_list_answers_with_json(accounts: Accounts) -> None:
    assert json.loads(output(accounts, "list", "--json")) == [
        {
            "name": "listed",
            "roles": ["backup"],
            "svms": [],
            "kept_in": "stack file",
            "login": None,
        }
    ]


def made(accounts: Accounts, *arguments: str, of_svm: bool = True) -> str:
    """What the guide's command prints."""
    app = password_app(lambda: accounts, MachineNames(), of_svm=of_svm)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.requirement("R180")
@pytest.mark.requirement("R220")
def test_generate_password_prints_what_the_guide_shows(accounts: Accounts) -> None:
    output(accounts, "add", "user1", "--role", "vsadmin", "--svm", "vs1")
    text = made(accounts, "-vserver", "vs1", "-user", "user1")
    shown = re.fullmatch(r"Vserver: vs1\nUser: user1\nPassword: ([A-Za-z0-9]{16})\n", text)
    assert shown is not None
    account = accounts.account("user1")
    assert account.password.decode() == shown[1]
    assert account.user == User("user1", ("vsadmin",), ("vs1",), "state store")


@pytest.mark.requirement("R217")
@pytest.mark.parametrize("of_svm", [False, True])
def test_a_password_of_the_cluster_needs_no_vserver(accounts: Accounts, of_svm: bool) -> None:
    output(accounts, "add", "anna")
    first = accounts.account("anna").password
    text = made(accounts, "--user", "anna", of_svm=of_svm)
    second = accounts.account("anna").password
    assert text == f"User: anna\nPassword: {second.decode()}\n"
    assert second != first


@pytest.mark.requirement("R182")
@pytest.mark.parametrize(("user", "svms"), [("anna", "vs2"), ("bert", "the cluster")])
def test_an_svm_makes_passwords_for_its_own_users_alone(
    accounts: Accounts, user: str, svms: str
) -> None:
    output(accounts, "add", "anna", "--role", "vsadmin", "--svm", "vs2")
    output(accounts, "add", "bert")
    before = accounts.account(user).password
    with pytest.raises(TapekitError) as refused:
        made(accounts, "-vserver", "vs1", "-user", user)
    assert str(refused.value).endswith(f"virtual machine vs1; it belongs to: {svms}")
    assert accounts.account(user).password == before


@pytest.mark.requirement("R337")
@pytest.mark.parametrize("options", [("-vserver", "vs1"), ()])
def test_a_user_that_is_not_set_up_for_ndmp_has_no_password(
    accounts: Accounts, options: tuple[str, ...]
) -> None:
    with pytest.raises(TapekitError) as refused:
        made(accounts, "-user", "nobody", *options)
    assert str(refused.value) == "Error: show failed: Cannot get password for user 'nobody'"


def test_a_user_of_the_stack_file_keeps_the_password_of_its_file(accounts: Accounts) -> None:
    with pytest.raises(TapekitError, match="is kept in the stack file"):
        made(accounts, "-user", "listed")


def test_modify_changes_what_is_named_and_no_password(accounts: Accounts) -> None:
    output(accounts, "add", "anna", "--role", "vsadmin", "--svm", "vs1")
    password = accounts.account("anna").password
    for arguments, roles, svms in (
        (("--svm", "vs2", "--svm", "vs3"), ("vsadmin",), ("vs2", "vs3")),
        (("--role", "backup"), ("backup",), ("vs2", "vs3")),
        (("--all-svms",), ("backup",), ()),
    ):
        assert output(accounts, "modify", "anna", *arguments) == "modified anna\n"
        account = accounts.account("anna")
        assert account.user == User("anna", roles, svms, "state store")
        assert account.password == password


@pytest.mark.parametrize(
    ("arguments", "row"),
    [
        (("listed", "--all-svms"), "user-in-stack-file"),
        (("nobody", "--all-svms"), "no-such-user"),
        (("anna", "--role", "king"), "unknown-role"),
        (("anna", "--all-svms"), "role-needs-svm"),
    ],
)
def test_what_cannot_be_modified_stays(
    accounts: Accounts, arguments: tuple[str, ...], row: str
) -> None:
    output(accounts, "add", "anna", "--role", "vsadmin", "--svm", "vs1")
    assert refusal(accounts, "modify", *arguments).id == f"auth.{row}"
    assert accounts.account("anna").user == User("anna", ("vsadmin",), ("vs1",), "state store")


@pytest.mark.parametrize("arguments", [(), ("--svm", "vs1", "--all-svms")])
def test_modify_wants_to_know_what(accounts: Accounts, arguments: tuple[str, ...]) -> None:
    output(accounts, "add", "anna")
    app = command_app(lambda: accounts, roles_with(()))
    assert CliRunner().invoke(app, ["modify", "anna", *arguments]).exit_code == 2
