"""``tapekit security login``: login accounts, as the guide wants them for NDMP.

An account has roles, applications and a way to prove who uses it. NDMP takes
neither its login password nor anything else that a human types, but the
password that ``vserver services ndmp generate-password`` makes of it. The
one rule: a login password is asked for at the terminal or read from a file
that is its owner's alone, never taken from the command line, where every
process could read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit_auth.accounts import User
from tapekit_auth.errors import CATALOGUE
from tapekit_auth.logins import (
    Application,
    Login,
    LoginMethod,
    credential_of,
    random_credential,
    require_login_password,
    require_user_name,
)
from tapekit_auth.passwords import read_password
from tapekit_auth.roles import require_roles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit_auth.accounts import Accounts, Stored
    from tapekit_auth.name_service import NameService
    from tapekit_auth.roles import Role

__all__ = ["login_app"]

_User = Annotated[
    str,
    typer.Option("--user-or-group-name", "-user-or-group-name", "-user", help="The user's name."),
]
_Applications = Annotated[
    list[Application] | None,
    typer.Option(
        "--application",
        "-application",
        help="An application; several are possible. NDMP asks for ssh.",
    ),
]
_Method = Annotated[
    LoginMethod | None,
    typer.Option(
        "--authentication-method",
        "-authentication-method",
        "-authmethod",
        help="How the user proves who it is. NDMP asks for password or nsswitch.",
    ),
]
_Roles = Annotated[
    list[str] | None, typer.Option("--role", "-role", help="A role; several are possible.")
]
_Svms = Annotated[
    list[str] | None,
    typer.Option(
        "--vserver", "-vserver", help="An SVM that the user may use; several are possible."
    ),
]
_AllSvms = Annotated[
    bool, typer.Option("--all-vservers", "-all-vservers", help="The user may use all SVMs.")
]
_PasswordFile = Annotated[
    Path | None,
    typer.Option(help="File of mode 0600 with the login password, instead of asking for it."),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def login_app(
    accounts: Callable[[], Accounts], roles: Mapping[str, Role], names: NameService
) -> typer.Typer:
    """The commands; ``accounts`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Login accounts, and their roles.")
    commands = _Commands(accounts, roles, names)
    for command in (commands.create, commands.modify, commands.password, commands.delete):
        app.command(command.__name__)(command)
    app.command("show")(commands.show)
    role = typer.Typer(no_args_is_help=True, help="The roles that accounts can have.")
    role.callback()(lambda: None)
    role.command("show")(commands.show_roles)
    app.add_typer(role, name="role")
    return app


class _RoleShown(msgspec.Struct, frozen=True):
    """A role as ``security login role show`` tells it."""

    role: str
    context: str
    permits_ndmp: bool


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(
        self, accounts: Callable[[], Accounts], roles: Mapping[str, Role], names: NameService
    ) -> None:
        self._accounts: Final = accounts
        self._roles: Final = roles
        self._names: Final = names

    def create(
        self,
        user: _User,
        role: _Roles = None,
        vserver: _Svms = None,
        application: _Applications = None,
        authentication_method: _Method = None,
        password_file: _PasswordFile = None,
    ) -> None:
        """Create a login account; by default for ssh, with a password. NDMP then
        asks for: tapekit vserver services ndmp generate-password.
        """
        require_user_name(user)
        self._require_not_listed(user)
        login = Login(
            tuple(application or (Application.SSH,)), authentication_method or LoginMethod.PASSWORD
        )
        account = User(user, tuple(role or ("backup",)), tuple(vserver or ()), "state store", login)
        self._require_usable(account)
        self._accounts().stored.add_account(account, _credential(user, login, password_file))
        say(f"created {user}")

    def modify(
        self,
        user: _User,
        role: _Roles = None,
        vserver: _Svms = None,
        all_vservers: _AllSvms = False,
        application: _Applications = None,
        authentication_method: _Method = None,
        password_file: _PasswordFile = None,
    ) -> None:
        """Change what is named of an account, and leave the rest. With other
        applications or another method, NDMP asks for a new password.
        """
        if vserver and all_vservers:
            raise typer.BadParameter("give -vserver or -all-vservers, not both")
        found = self._login_account(user)
        before = found.user
        assert before.login is not None
        login = Login(
            tuple(application or before.login.applications),
            authentication_method or before.login.method,
        )
        svms = () if all_vservers else tuple(vserver or before.svms)
        account = User(user, tuple(role or before.roles), svms, "state store", login)
        self._require_usable(account)
        is_other = login.method is not before.login.method
        credential = _credential(user, login, password_file) if is_other else None
        self._accounts().stored.change_account(found, account, credential)
        say(f"modified {user}")

    def password(self, user: _User, password_file: _PasswordFile = None) -> None:
        """Change a login password. The NDMP password made of the old one serves
        no longer: make a new one.
        """
        found = self._login_account(user)
        account = found.user
        assert account.login is not None
        if account.login.method is not LoginMethod.PASSWORD:
            raise CATALOGUE.error(
                "password-elsewhere", user=user, method=account.login.method.value
            )
        credential = _credential(user, account.login, password_file)
        self._accounts().stored.change_account(found, account, credential)
        say(f"changed the login password of {user}")
        if account.login.permits_ndmp():
            again = f"tapekit vserver services ndmp generate-password -user {user}"
            say(f"NDMP needs a new password: {again}")

    def delete(self, user: _User) -> None:
        """Delete an account; sessions that have logged in go on."""
        self._require_not_listed(user)
        self._accounts().stored.remove(user)
        say(f"deleted {user}")

    def show(
        self,
        vserver: Annotated[
            str | None,
            typer.Option("--vserver", "-vserver", help="Only those who may use this SVM."),
        ] = None,
        as_json: _Json = False,
    ) -> None:
        """List everybody who may log in, and how. A user of NDMP alone has the
        application ndmp.
        """
        users = [
            user
            for user in self._accounts().users()
            if vserver is None or not user.svms or vserver in user.svms
        ]
        if as_json:
            say_json(users)
        else:
            titles = ("User", "Application", "Authentication Method", "Role", "Vserver", "NDMP")
            say_table(titles, map(_cells, users))

    def show_roles(self, as_json: _Json = False) -> None:
        """List the roles, their context, and whether they permit NDMP."""
        shown = [
            _RoleShown(role.name, role.context.value, role.permits_ndmp)
            for role in self._roles.values()
        ]
        if as_json:
            say_json(shown)
        else:
            cells = ((one.role, one.context, _yes(one.permits_ndmp)) for one in shown)
            say_table(("Role", "Context", "NDMP"), cells)

    def _login_account(self, user: str) -> Stored:
        self._require_not_listed(user)
        return self._accounts().stored.login_account(user)

    def _require_not_listed(self, user: str) -> None:
        if self._accounts().is_listed(user):
            raise CATALOGUE.error("user-in-stack-file", user=user)

    def _require_usable(self, account: User) -> None:
        assert account.login is not None
        if account.login.method is LoginMethod.DOMAIN:
            raise CATALOGUE.error("active-directory-account", user=account.name)
        require_roles(account.name, account.roles, account.svms, self._roles)
        is_elsewhere = account.login.method is LoginMethod.NSSWITCH
        if is_elsewhere and self._names.mark(account.name) is None:
            raise CATALOGUE.error("not-in-name-service", user=account.name)


def _credential(user: str, login: Login, file: Path | None) -> bytes:
    """What is kept of the login password: asked for, if the account has one."""
    if login.method is not LoginMethod.PASSWORD:
        return random_credential()
    password = (
        read_password(user, file).decode("utf-8", "surrogateescape") if file else _asked(user)
    )
    require_login_password(user, password)
    return credential_of(password)


def _asked(user: str) -> str:
    given: str = typer.prompt(
        f"Enter a password for user '{user}'", hide_input=True, confirmation_prompt="Enter it again"
    )
    return given


def _cells(user: User) -> tuple[str, ...]:
    applications, method, permits = "ndmp", "password", True
    if user.login is not None:
        applications = ", ".join(one.value for one in user.login.applications)
        method, permits = user.login.method.value, user.login.permits_ndmp()
    svms = ", ".join(user.svms) or "all"
    return (user.name, applications, method, ", ".join(user.roles), svms, _yes(permits))


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"
