"""``tapekit security login``, and the NDMP passwords of its accounts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_auth.accounts import NAMESPACE, Account, Accounts, StoredUsers, User
from tapekit_auth.commands import command_app, password_app
from tapekit_auth.login_commands import login_app
from tapekit_auth.logins import Application, Login, LoginMethod
from tapekit_auth.roles import roles_with
from tapekit_auth.sealing import KeyFile
from tapekit_auth.settings import CustomRole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import typer

LISTED = User("listed", ("backup",), (), "stack file")
FIRST, SECOND = "Correct0Horse", "Battery9Staple"
WITH_PASSWORD = Login((Application.SSH,), LoginMethod.PASSWORD)
ROLES = roles_with([CustomRole(name="onlooker", commands={"vserver services ndmp": "none"})])


class Site:
    """Accounts, and the commands on them."""

    def __init__(self, folder: Path, names: Any) -> None:
        self.state = MemoryStateStore()
        self.names = names
        stored = StoredUsers(self.state, KeyFile(folder / "auth.key"))
        listed = {"listed": Account(LISTED, b"Password of a file")}
        self.accounts = Accounts(listed, stored)

    def login(self, line: str, *typed: str) -> str:
        """What a command prints; ``typed`` are the lines given to its questions."""
        app = login_app(lambda: self.accounts, ROLES, self.names)
        return self._run(app, line.split(), "".join(f"{one}\n" for one in typed))

    def create(self, options: str = "-user user1 -role vsadmin -vserver vs1") -> str:
        return self.login(f"create {options}", FIRST, FIRST)

    def generate(self, options: str = "-user user1 -vserver vs1") -> str:
        app = password_app(lambda: self.accounts, self.names, of_svm=True)
        return self._run(app, options.split()).split()[-1]

    def add(self, user: str) -> None:
        self._run(command_app(lambda: self.accounts, ROLES), ["add", user])

    def password(self, user: str = "user1") -> str:
        """The one that a login is compared with."""
        return self.accounts.account(user).password.decode()

    def _run(self, app: typer.Typer, words: Sequence[str], typed: str = "") -> str:
        result = CliRunner().invoke(app, words, input=typed, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def site(tmp_path: Path, memory_names: Callable[..., Any]) -> Site:
    return Site(tmp_path, memory_names(nina="$6$first"))


def refused(site: Site, line: str, *typed: str) -> str:
    with pytest.raises(TapekitError) as stopped:
        site.login(line, *typed)
    assert FIRST not in stopped.value.advice
    return stopped.value.id


@pytest.mark.requirement("R179")
def test_an_account_is_for_ssh_with_a_password_by_default(site: Site) -> None:
    text = site.create()
    assert text.splitlines()[-1] == "created user1"
    assert FIRST not in text
    account = site.accounts.account("user1")
    assert account.user == User("user1", ("vsadmin",), ("vs1",), "state store", WITH_PASSWORD)
    assert FIRST.encode() not in (site.state.get(NAMESPACE, "user1") or b"")


@pytest.mark.requirement("R181")
def test_the_ndmp_password_is_the_same_until_the_login_password_changes(site: Site) -> None:
    site.create()
    first = site.generate()
    assert site.generate() == first == site.password()
    text = site.login("password -user user1", SECOND, SECOND)
    assert "generate-password -user user1" in text
    assert site.password() not in {first, site.password()}
    second = site.generate()
    assert second == site.password() != first


@pytest.mark.requirement("R181")
def test_without_one_that_was_made_nobody_knows_the_password(site: Site) -> None:
    site.create()
    assert site.password() != site.password()
    assert FIRST not in {site.password(), site.password()}


@pytest.mark.requirement("R179")
@pytest.mark.requirement("R337")
@pytest.mark.parametrize(
    "options", ["-application console", "-authentication-method publickey", "-application http"]
)
def test_an_account_that_is_not_set_up_for_ndmp_has_no_password(site: Site, options: str) -> None:
    site.create(f"-user user1 {options}")
    with pytest.raises(TapekitError) as stopped:
        site.generate("-user user1")
    assert str(stopped.value) == "Error: show failed: Cannot get password for user 'user1'"
    site.login("modify -user user1 -application ssh -authmethod password", FIRST, FIRST)
    assert site.generate("-user user1") == site.password()


@pytest.mark.requirement("R178")
def test_users_of_a_directory_serve_several_svms_with_one_password(site: Site) -> None:
    site.login("create -user nina -authmethod nsswitch -role vsadmin -vserver vs1 -vserver vs2")
    first = site.generate("-user nina -vserver vs1")
    assert site.generate("-user nina -vserver vs2") == first
    site.names.shown["nina"] = "$6$second"
    assert site.generate("-user nina -vserver vs1") != first


@pytest.mark.requirement("R178")
def test_users_of_a_directory_must_exist_in_it(site: Site) -> None:
    assert refused(site, "create -user zoe -authmethod nsswitch") == "auth.not-in-name-service"
    site.login("create -user nina -authmethod nsswitch")
    del site.names.shown["nina"]
    with pytest.raises(TapekitError, match="knows no user nina"):
        site.generate("-user nina")


@pytest.mark.requirement("R178")
@pytest.mark.parametrize("user", ["EXAMPLE\\anna", "anna -authmethod domain"])
def test_users_of_active_directory_are_refused(site: Site, user: str) -> None:
    assert refused(site, f"create -user {user}") == "auth.active-directory-account"


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ("-user listed", "user-in-stack-file"),
        ("-user a:b", "bad-user-name"),
        ("-user anna -role king", "unknown-role"),
        ("-user anna -role vsadmin", "role-needs-svm"),
        ("-user old", "user-exists"),
    ],
)
def test_an_account_that_cannot_be_is_refused(site: Site, options: str, row: str) -> None:
    site.add("old")
    before = site.accounts.users()
    assert refused(site, f"create {options}", FIRST, FIRST) == f"auth.{row}"
    assert site.accounts.users() == before


def test_a_weak_login_password_is_refused(site: Site) -> None:
    assert refused(site, "create -user anna", "password1", "password1") == (
        "auth.weak-login-password"
    )
    assert site.accounts.users() == [LISTED]


def test_a_login_password_comes_from_a_file_that_is_its_owners_alone(
    site: Site, tmp_path: Path
) -> None:
    file = tmp_path / "login-password"
    file.touch(0o600)
    file.write_text(FIRST + "\n")
    assert site.login(f"create -user anna --password-file {file}") == "created anna\n"
    file.write_bytes(b"Caf\xe9 Correct0Horse\n")
    assert "changed" in site.login(f"password -user anna --password-file {file}")
    file.chmod(0o644)
    line = f"password -user anna --password-file {file}"
    assert refused(site, line) == "auth.secret-open-to-others"


def test_modify_leaves_what_it_does_not_name(site: Site) -> None:
    site.create()
    password = site.generate()
    assert site.login("modify -user user1 -role vsadmin-backup") == "modified user1\n"
    account = site.accounts.account("user1")
    assert account.user == User(
        "user1", ("vsadmin-backup",), ("vs1",), "state store", WITH_PASSWORD
    )
    assert account.password.decode() == password


def test_another_way_to_log_in_asks_for_a_new_ndmp_password(site: Site) -> None:
    site.create("-user nina")
    first = site.generate("-user nina")
    site.login("modify -user nina -authmethod nsswitch")
    assert site.password("nina") != first
    assert site.generate("-user nina") != first
    assert refused(site, "password -user nina") == "auth.password-elsewhere"


def test_a_user_of_ndmp_alone_has_no_login_to_change(site: Site) -> None:
    site.add("old")
    assert refused(site, "modify -user old -role admin") == "auth.no-login-account"
    assert refused(site, "password -user old") == "auth.no-login-account"
    assert refused(site, "password -user nobody") == "auth.no-such-user"


def test_a_deleted_account_is_nobody(site: Site) -> None:
    site.create()
    assert site.login("delete -user user1") == "deleted user1\n"
    assert site.accounts.account("user1").user is None
    assert refused(site, "delete -user user1") == "auth.no-such-user"
    assert refused(site, "delete -user listed") == "auth.user-in-stack-file"


def test_a_record_that_was_changed_opens_no_longer(site: Site) -> None:
    site.create()
    site.generate()
    record = json.loads(site.state.get(NAMESPACE, "user1") or b"")
    record["login"]["applications"] = ["ssh", "http"]
    site.state.change(NAMESPACE, {"user1": json.dumps(record).encode()})
    with pytest.raises(TapekitError) as stopped:
        site.accounts.account("user1")
    assert stopped.value.id == "auth.sealed-otherwise"


def test_show_lists_everybody_and_how_they_log_in(site: Site) -> None:
    site.create()
    site.add("old")
    site.login("create -user nina -authmethod nsswitch -application console -vserver vs2")
    text = site.login("show")
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "User Application Authentication Method Role Vserver NDMP",
        "listed ndmp password backup all yes",
        "nina console nsswitch backup vs2 no",
        "old ndmp password backup all yes",
        "user1 ssh password vsadmin vs1 yes",
    ]
    shown = json.loads(site.login("show -vserver vs1 --json"))
    assert [one["name"] for one in shown] == ["listed", "old", "user1"]
    assert shown[2]["login"] == {"applications": ["ssh"], "method": "password"}


@pytest.mark.requirement("R176")
def test_roles_are_shown_with_their_context(site: Site) -> None:
    rows = [line.split() for line in site.login("role show").splitlines()]
    for row in (
        ["admin", "cluster", "yes"],
        ["backup", "cluster", "yes"],
        ["vsadmin", "svm", "yes"],
        ["vsadmin-backup", "svm", "yes"],
        ["onlooker", "cluster", "no"],
    ):
        assert row in rows
    shown = json.loads(site.login("role show --json"))
    assert {"role": "onlooker", "context": "cluster", "permits_ndmp": False} in shown


def test_the_limit_of_an_account_is_taken_away(site: Site) -> None:
    site.create("-user user1 -role backup -vserver vs1")
    site.login("modify -user user1 -all-vservers")
    assert site.accounts.stored.found("user1").user.svms == ()
    app = login_app(lambda: site.accounts, ROLES, site.names)
    both = ["modify", "-user", "user1", "-vserver", "vs1", "-all-vservers"]
    assert CliRunner().invoke(app, both).exit_code == 2


def test_login_accounts_are_not_modified_as_users_of_ndmp_alone(site: Site) -> None:
    site.create()
    app = command_app(lambda: site.accounts, ROLES)
    with pytest.raises(TapekitError) as stopped:
        CliRunner().invoke(app, ["modify", "user1", "--all-svms"], catch_exceptions=False)
    assert stopped.value.id == "auth.user-has-login-account"


class SlowNames:
    """Somebody else changes the user while a command asks this name service."""

    def __init__(self, stored: StoredUsers, names: Any) -> None:
        self._stored = stored
        self._names = names

    def mark(self, user: str) -> bytes | None:
        found = self._stored.login_account(user)
        self._stored.change_account(found, msgspec.structs.replace(found.user, svms=("vs1",)))
        mark: bytes | None = self._names.mark(user)
        return mark


def test_of_two_changes_at_one_time_the_second_is_refused(site: Site) -> None:
    site.login("create -user nina -authmethod nsswitch -role backup")
    site.names = SlowNames(site.accounts.stored, site.names)
    assert refused(site, "modify -user nina -role admin") == "auth.user-changed-meanwhile"
    found = site.accounts.stored.found("nina").user
    assert (found.roles, found.svms) == (("backup",), ("vs1",))
