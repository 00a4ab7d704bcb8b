"""``tapekit auth``: users of the state store.

A generated password is printed once, when its user is added, and can be
had from nowhere afterwards; another one can be made, also by the guide's
``vserver services ndmp generate-password``. Users of the stack file are
listed beside the others and changed in the stack file alone. A running
server sees every change at the next login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit_auth.errors import CATALOGUE
from tapekit_auth.logins import LoginMethod, require_user_name
from tapekit_auth.passwords import generated_password
from tapekit_auth.roles import NODE_ROLE, require_roles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit_auth.accounts import Accounts, User
    from tapekit_auth.name_service import NameService
    from tapekit_auth.roles import Role

__all__ = ["NODE_USER", "command_app", "password_app"]

NODE_USER: Final = "root"
"""The user of the node-scoped mode, unless another one has its role."""

_User = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
_Roles = Annotated[list[str] | None, typer.Option("--role", help="A role; several are possible.")]
_Svms = Annotated[
    list[str] | None,
    typer.Option("--svm", help="A storage virtual machine that the user may use."),
]
_AllSvms = Annotated[
    bool, typer.Option("--all-svms", help="The user may use all storage virtual machines.")
]


def command_app(accounts: Callable[[], Accounts], roles: Mapping[str, Role]) -> typer.Typer:
    """The commands; ``accounts`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Users who may log in.")
    commands = _Commands(accounts, roles)
    app.command("list")(commands.list_users)
    app.command("add")(commands.add)
    app.command("modify")(commands.modify)
    app.command("remove")(commands.remove)
    return app


def password_app(
    accounts: Callable[[], Accounts], names: NameService, *, of_svm: bool
) -> typer.Typer:
    """The guide's command that makes a password for a user who is there.

    :param names: knows the users whose login password is kept elsewhere.
    :param of_svm: whether the command belongs to storage virtual machines,
        and so takes the name of one.
    """
    app = typer.Typer()
    commands = _PasswordCommands(accounts, names)
    app.callback(invoke_without_command=True)(commands.of_svm if of_svm else commands.of_node)
    return app


_PasswordUser = Annotated[str, typer.Option("--user", "-user", help="The user's name.")]


@final
class _PasswordCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, accounts: Callable[[], Accounts], names: NameService) -> None:
        self._accounts: Final = accounts
        self._names: Final = names

    def of_node(self, user: _PasswordUser = NODE_USER) -> None:
        """Make another NDMP password for a user, and print it. It is shown once.

        The user of the node-scoped mode is made with its first password.
        """
        accounts = self._accounts()
        if user == NODE_USER and all(one.name != user for one in accounts.users()):
            password = generated_password()
            accounts.stored.add(user, [NODE_ROLE], [], password)
            _say_password(user, password)
            return
        _say_password(user, self._changed(user))

    def of_svm(
        self,
        user: _PasswordUser,
        vserver: Annotated[
            str | None,
            typer.Option(
                "--vserver",
                "-vserver",
                help="The SVM to which the user belongs.",
            ),
        ] = None,
    ) -> None:
        """Make the NDMP password of a user, and print it. It serves every later
        job: that of a login account until its login password changes, that of
        another user until the next one is made.
        """
        if vserver is None:
            self.of_node(user)
            return
        self._require_of(user, vserver)
        password = self._changed(user)
        say(f"Vserver: {vserver}")
        _say_password(user, password)

    def _changed(self, user: str) -> str:
        accounts = self._accounts()
        if accounts.is_listed(user):
            raise CATALOGUE.error("user-in-stack-file", user=user)
        return accounts.stored.make_password(user, self._mark(self._found(user)))

    def _mark(self, user: User) -> bytes:
        """What the name service shows of the login password, if it has it.

        :raises TapekitError: the account is not set up for NDMP.
        """
        if user.login is None:
            return b""
        if not user.login.permits_ndmp():
            raise CATALOGUE.error("no-password", username=user.name)
        if user.login.method is not LoginMethod.NSSWITCH:
            return b""
        mark = self._names.mark(user.name)
        if mark is None:
            raise CATALOGUE.error("not-in-name-service", user=user.name)
        return mark

    def _found(self, user: str) -> User:
        found = next((one for one in self._accounts().users() if one.name == user), None)
        if found is None:
            raise CATALOGUE.error("no-password", username=user)
        return found

    def _require_of(self, user: str, svm: str) -> None:
        found = self._found(user)
        if svm not in found.svms:
            svms = ", ".join(found.svms) or "the cluster"
            raise CATALOGUE.error("user-of-other-svm", user=user, svm=svm, svms=svms)


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, accounts: Callable[[], Accounts], roles: Mapping[str, Role]) -> None:
        self._accounts: Final = accounts
        self._roles: Final = roles

    def list_users(
        self,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List the users, their roles and the SVMs they may use."""
        users = self._accounts().users()
        if as_json:
            say_json(users)
        else:
            say_table(("User", "Roles", "SVMs", "Kept in"), map(_cells, users))

    def add(
        self,
        user: _User,
        role: Annotated[
            list[str] | None, typer.Option(help="A role; several are possible. [default: backup]")
        ] = None,
        svm: Annotated[
            list[str] | None,
            typer.Option(help="A storage virtual machine that the user may use. [default: all]"),
        ] = None,
    ) -> None:
        """Add a user, and print the password made for it. It is shown once."""
        roles, svms = role or ["backup"], svm or []
        self._require_new(user)
        require_roles(user, roles, svms, self._roles)
        password = generated_password()
        self._accounts().stored.add(user, roles, svms, password)
        _say_password(user, password)

    def modify(
        self,
        user: _User,
        role: _Roles = None,
        svm: _Svms = None,
        all_svms: _AllSvms = False,
    ) -> None:
        """Change roles or storage virtual machines of a user, and leave the rest."""
        self._require_stored(user)
        if (svm and all_svms) or not (role or svm or all_svms):
            raise typer.BadParameter("give --role, and --svm or --all-svms, or one of them")
        stored = self._accounts().stored
        found = stored.found(user)
        if found.user.login is not None:
            raise CATALOGUE.error("user-has-login-account", user=user)
        roles, svms = role or found.user.roles, () if all_svms else svm or found.user.svms
        require_roles(user, roles, svms, self._roles)
        stored.modify(found, roles, svms)
        say(f"modified {user}")

    def remove(self, user: _User) -> None:
        """Remove a user; sessions that have logged in go on."""
        self._require_stored(user)
        self._accounts().stored.remove(user)
        say(f"removed {user}")

    def _require_new(self, user: str) -> None:
        require_user_name(user)
        self._require_stored(user)

    def _require_stored(self, user: str) -> None:
        if self._accounts().is_listed(user):
            raise CATALOGUE.error("user-in-stack-file", user=user)


def _cells(user: User) -> tuple[str, ...]:
    return (user.name, ", ".join(user.roles), ", ".join(user.svms) or "all", user.kept_in)


def _say_password(user: str, password: str) -> None:
    say(f"User: {user}")
    say(f"Password: {password}")
