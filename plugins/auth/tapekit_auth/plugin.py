"""Logins as a plugin: manifest, settings and hooks.

Password files are read when the stack is assembled, so that a bad one is
told before anything runs; what is under seal is tried when the stack
starts. Everything else stands in the modules beside this one.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_auth.accounts import Accounts, StoredUsers, read_listed_users
from tapekit_auth.attempts import Attempts
from tapekit_auth.auditing import Audit, user_called
from tapekit_auth.authenticator import PasswordAuthenticator
from tapekit_auth.commands import command_app, password_app
from tapekit_auth.login_commands import login_app
from tapekit_auth.name_service import MachineNames
from tapekit_auth.passwords import generated_password
from tapekit_auth.roles import roles_with
from tapekit_auth.sealing import KeyFile
from tapekit_auth.secret_files import create_secret
from tapekit_auth.settings import AuthSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.authentication import Authenticator
    from tapekit.hookspecs.lifecycle import InitSite, Kernel

__all__ = ["AuthPlugin"]

_LOG: Final = logging.getLogger("tapekit.auth")

_FIRST_USER: Final = "ndmp"
_FIRST_PASSWORD_FILE: Final = "ndmp-password"  # noqa: S105 - a file's name


@final
class AuthPlugin:
    """Who may log in, and how."""

    manifest: ClassVar[Manifest] = Manifest(
        name="auth",
        summary="Logins: methods, users with sealed passwords, roles",
        settings=AuthSettings,
    )

    def __init__(self, settings: AuthSettings) -> None:
        self._settings: Final = settings
        self._roles: Final = roles_with(settings.custom_roles)
        self._names: Final = MachineNames()
        self._authenticator: Final = PasswordAuthenticator(
            settings.methods, self._roles, Attempts(), self._names
        )
        self._accounts: Accounts | None = None

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Make a user with a password of its own.

        :raises TapekitError: the password file cannot be made.
        """
        made = create_secret(
            site.directory / _FIRST_PASSWORD_FILE, generated_password().encode() + b"\n"
        )
        entry = f'{{ name = "{_FIRST_USER}", password_file = "{_FIRST_PASSWORD_FILE}" }}'
        what = f"{_FIRST_PASSWORD_FILE}: the password of the NDMP user {_FIRST_USER}"
        return InitPart(
            settings=f"users = [{entry}]\n",
            created=(what,) if made else (),
        )

    @hookimpl
    def tapekit_provide_authenticator(self) -> Authenticator:
        """Offer the judge of logins."""
        return self._authenticator

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit auth``, and the guide's commands for accounts and passwords."""
        make = "Make a password for a user"
        settled, names = self._settled, self._names
        return (
            CommandGroup("auth", "Users who may log in", command_app(settled, self._roles)),
            CommandGroup(
                "security login", "Login accounts", login_app(settled, self._roles, names)
            ),
            CommandGroup(
                "vserver services ndmp generate-password",
                make,
                password_app(settled, names, of_svm=True),
            ),
            CommandGroup(
                "system services ndmp password", make, password_app(settled, names, of_svm=False)
            ),
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Read the password files beside the stack file."""
        folder = kernel.base_directory
        listed = read_listed_users(self._settings.users, folder, self._roles)
        key = KeyFile(folder / self._settings.key_file)
        audit = Audit(kernel.announce, kernel.clock, lambda: user_called(os.getuid()))
        stored = StoredUsers(kernel.state, key, audit)
        self._accounts = Accounts(listed, stored)
        self._authenticator.settle(kernel, self._accounts)

    @hookimpl
    def tapekit_run(self) -> AbstractAsyncContextManager[None]:
        """Try the seals before anybody logs in."""
        return self._ready()

    @contextlib.asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        accounts = self._settled()
        accounts.stored.verify()
        if not accounts.users():
            _LOG.warning("there is no user, so nobody can log in: tapekit auth add USER")
        yield

    def _settled(self) -> Accounts:
        assert self._accounts is not None
        return self._accounts
