"""Users: those of the stack file and those of the state store.

A login looks both places up and opens a seal whoever the user is, known or
not, so that the time it takes tells nothing; the account of nobody has a
password that no one knows. A user of the stack file hides one of the same
name in the store. The one rule: what leaves this module with a password in
it is an :class:`Account`, and its representation does not show it.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, final

import msgspec

from tapekit_auth.auditing import tell_nobody
from tapekit_auth.errors import CATALOGUE
from tapekit_auth.logins import Login, derived_password
from tapekit_auth.passwords import generated_password, read_password
from tapekit_auth.records import AccountRecord, AccountSecrets, Record, UserRecord, decoded
from tapekit_auth.roles import require_roles
from tapekit_auth.sealing import BrokenSeal, Sealer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit.hookspecs.state import StateStore
    from tapekit_auth.auditing import Tell
    from tapekit_auth.roles import Role
    from tapekit_auth.sealing import KeyFile
    from tapekit_auth.settings import ListedUser

__all__ = [
    "NAMESPACE",
    "Account",
    "Accounts",
    "Stored",
    "StoredUsers",
    "User",
    "read_listed_users",
]

NAMESPACE: Final = "auth.users"
"""Where the state store keeps users, by name."""

_SALT_BYTES: Final = 16


class User(msgspec.Struct, frozen=True):
    """Somebody who may log in."""

    name: str
    roles: tuple[str, ...]
    svms: tuple[str, ...]
    """Storage virtual machines that the user may use; empty means all."""
    kept_in: Literal["stack file", "state store"]
    login: Login | None = None
    """How the login account is set up; ``None`` for a user of NDMP alone."""


class Account(NamedTuple):
    """A user, or nobody, with the password to compare with."""

    user: User | None
    password: bytes
    mark: bytes = b""
    """Of the name service's entry, when the password was made."""

    def __repr__(self) -> str:
        return f"<Account of {self.user and self.user.name}>"


class Stored(NamedTuple):
    """A user of the state store as it was when somebody looked."""

    user: User
    record: bytes
    """By which a change since then is noticed."""


def read_listed_users(
    listed: Iterable[ListedUser], folder: Path, roles: Mapping[str, Role]
) -> Mapping[str, Account]:
    """The users of the stack file with the passwords from their files.

    :param folder: where relative names of files start.
    :raises TapekitError: one of them cannot be used.
    """
    accounts: dict[str, Account] = {}
    for one in listed:
        if one.name in accounts:
            raise CATALOGUE.error("user-twice", user=one.name)
        require_roles(one.name, one.roles, one.svms, roles)
        password = read_password(one.name, folder / one.password_file)
        accounts[one.name] = Account(User(one.name, one.roles, one.svms, "stack file"), password)
    return accounts


@final
class StoredUsers:
    """Users of the state store, their passwords under seal.

    Each change is made alone, and of two that began with the same user the
    second one is refused.
    """

    def __init__(self, state: StateStore, key: KeyFile, tell: Tell = tell_nobody) -> None:
        """:param tell: hears of every change."""
        self._state: Final = state
        self._key: Final = key
        self._tell: Final = tell
        decoy = Sealer.with_new_key()
        self._decoy_sealer: Final = decoy
        self._decoy: Final = _record(decoy, "", (), (), generated_password())

    def users(self) -> Sequence[User]:
        """All of them, in the order of their names.

        :raises TapekitError: a record is damaged.
        """
        items = self._state.items(NAMESPACE)
        return [_user(name, decoded(name, data)) for name, data in items.items()]

    def account(self, name: str) -> Account:
        """The user's account, or nobody's for the same work.

        :raises TapekitError: the record cannot be read or opened.
        """
        data = self._state.get(NAMESPACE, name)
        if data is None:
            record = decoded("", self._decoy)
            return Account(None, self._opened(self._decoy_sealer, "", record))
        record = decoded(name, data)
        opened, user = self._opened(self._key.sealer(), name, record), _user(name, record)
        if user.login is None:
            return Account(user, opened)
        kept = _secrets(name, opened)
        # Without an NDMP password there is one that nobody knows.
        return Account(user, (kept.ndmp_password or generated_password()).encode(), kept.mark)

    def add(self, name: str, roles: Sequence[str], svms: Sequence[str], password: str) -> None:
        """Keep a user; durable on return.

        :raises TapekitError: there is one of that name, or it cannot be kept.
        """
        with self._for_new(name) as sealer:
            record = _record(sealer, name, tuple(roles), tuple(svms), password)
            self._state.change(NAMESPACE, {name: record})
        self._tell("user-added", name, roles, svms)

    def modify(self, found: Stored, roles: Sequence[str], svms: Sequence[str]) -> None:
        """Change what a user without a login account may; durable on return.
        The password stays.

        :raises TapekitError: somebody has changed the user since it was found,
            or it cannot be kept.
        """
        name = found.user.name
        with self._key.held():
            record = decoded(name, self._unchanged(found))
            sealer = self._key.sealer()
            password = self._opened(sealer, name, record).decode()
            changed = _record(sealer, name, tuple(roles), tuple(svms), password)
            self._state.change(NAMESPACE, {name: changed})
        self._tell("user-changed", name, roles, svms)

    def add_account(self, user: User, credential: bytes) -> None:
        """Keep a login account, which has no NDMP password yet; durable on return.

        :raises TapekitError: there is a user of that name, or it cannot be kept.
        """
        with self._for_new(user.name) as sealer:
            self._keep(sealer, user, _new_secrets(credential))
        self._tell("user-added", user.name, user.roles, user.svms)

    def change_account(self, found: Stored, user: User, credential: bytes | None = None) -> None:
        """Set a login account up anew; durable on return. With another
        credential or for another method its NDMP password is gone.

        :raises TapekitError: somebody has changed the account since it was
            found, or it cannot be kept.
        """
        with self._key.held():
            self._unchanged(found)
            before, kept = self._account(user.name)
            if credential is not None:
                kept = _new_secrets(credential)
            elif before.login != user.login:
                kept = _new_secrets(kept.credential)
            self._keep(self._key.sealer(), user, kept)
        self._tell("user-changed", user.name, user.roles, user.svms)

    def found(self, name: str) -> Stored:
        """A user as it is now.

        :raises TapekitError: there is none of that name.
        """
        data = self._state.get(NAMESPACE, name)
        if data is None:
            raise CATALOGUE.error("no-such-user", user=name)
        return Stored(_user(name, decoded(name, data)), data)

    def login_account(self, name: str) -> Stored:
        """A user with a login account, as it is now.

        :raises TapekitError: there is none of that name.
        """
        found = self.found(name)
        if found.user.login is None:
            raise CATALOGUE.error("no-login-account", user=name)
        return found

    def make_password(self, name: str, mark: bytes = b"") -> str:
        """Make the NDMP password of a user; durable on return. That of a login
        account is the same until the account changes.

        :param mark: of the entry that the name service has for the user.
        :raises TapekitError: there is none of that name, or it cannot be kept.
        """
        with self._key.held():
            password = self._make_password(name, mark)
        self._tell("password-made", name)
        return password

    def _make_password(self, name: str, mark: bytes) -> str:
        data = self._state.get(NAMESPACE, name)
        if data is None:
            raise CATALOGUE.error("no-password", username=name)
        record = decoded(name, data)
        if isinstance(record, UserRecord):
            password = generated_password()
            sealed = _record(self._key.sealer(), name, record.roles, record.svms, password)
            self._state.change(NAMESPACE, {name: sealed})
            return password
        user, kept = self._account(name)
        password = derived_password(kept.credential + mark, kept.salt, name, user.svms)
        made = msgspec.structs.replace(kept, ndmp_password=password, mark=mark)
        self._keep(self._key.sealer(), user, made)
        return password

    def remove(self, name: str) -> None:
        """Forget a user; durable on return.

        :raises TapekitError: there is none of that name.
        """
        with self._key.held():
            if self._state.get(NAMESPACE, name) is None:
                raise CATALOGUE.error("no-such-user", user=name)
            self._state.change(NAMESPACE, {name: None})
        self._tell("user-removed", name)

    def verify(self) -> None:
        """Make sure that everybody's password can be opened.

        :raises TapekitError: one cannot.
        """
        for user in self.users():
            self.account(user.name)

    @contextlib.contextmanager
    def _for_new(self, name: str) -> Iterator[Sealer]:
        """Nobody else changes users meanwhile, and there is none of the name."""
        self._require_new(name)
        sealer = self._key.sealer(may_make=not self._state.items(NAMESPACE))
        with self._key.held():
            self._require_new(name)
            yield sealer

    def _require_new(self, name: str) -> None:
        if self._state.get(NAMESPACE, name) is not None:
            raise CATALOGUE.error("user-exists", user=name)

    def _unchanged(self, found: Stored) -> bytes:
        """What is stored of a user, which has to be what was found."""
        if self._state.get(NAMESPACE, found.user.name) != found.record:
            raise CATALOGUE.error("user-changed-meanwhile", user=found.user.name)
        return found.record

    def _account(self, name: str) -> tuple[User, AccountSecrets]:
        found = self.login_account(name)
        opened = self._opened(self._key.sealer(), name, decoded(name, found.record))
        return found.user, _secrets(name, opened)

    def _keep(self, sealer: Sealer, user: User, kept: AccountSecrets) -> None:
        assert user.login is not None
        bound = _bound(user.name, user.roles, user.svms, user.login)
        sealed = sealer.seal(msgspec.json.encode(kept), bound)
        record = AccountRecord(user.roles, user.svms, user.login, sealed)
        self._state.change(NAMESPACE, {user.name: msgspec.json.encode(record)})

    def _opened(self, sealer: Sealer, name: str, record: Record) -> bytes:
        bound = _bound(name, record.roles, record.svms, record.login)
        try:
            return sealer.unseal(record.sealed, bound)
        except BrokenSeal:
            raise CATALOGUE.error("sealed-otherwise", user=name, file=self._key.path) from None


@final
class Accounts:
    """Both kinds of users, looked up together."""

    def __init__(self, listed: Mapping[str, Account], stored: StoredUsers) -> None:
        self._listed: Final = listed
        self.stored: Final = stored

    def account(self, name: str) -> Account:
        """The account of a user, or nobody's.

        :raises TapekitError: the record of a stored user cannot be read.
        """
        stored = self.stored.account(name)
        return self._listed.get(name, stored)

    def is_listed(self, name: str) -> bool:
        """Whether the stack file has the user."""
        return name in self._listed

    def users(self) -> Sequence[User]:
        """Everybody who may log in, those of the stack file first.

        :raises TapekitError: a record is damaged.
        """
        listed = [account.user for account in self._listed.values() if account.user is not None]
        return [*listed, *(user for user in self.stored.users() if not self.is_listed(user.name))]


def _user(name: str, record: Record) -> User:
    return User(name, record.roles, record.svms, "state store", record.login)


def _record(
    sealer: Sealer, name: str, roles: tuple[str, ...], svms: tuple[str, ...], password: str
) -> bytes:
    sealed = sealer.seal(password.encode(), _bound(name, roles, svms))
    return msgspec.json.encode(UserRecord(roles, svms, sealed))


def _new_secrets(credential: bytes) -> AccountSecrets:
    return AccountSecrets(credential, secrets.token_bytes(_SALT_BYTES))


def _secrets(name: str, opened: bytes) -> AccountSecrets:
    try:
        return msgspec.json.decode(opened, type=AccountSecrets)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("record-damaged", user=name, reason=error) from error


def _bound(
    name: str, roles: Sequence[str], svms: Sequence[str], login: Login | None = None
) -> bytes:
    if login is None:
        return msgspec.json.encode(("tapekit auth user", name, roles, svms))
    return msgspec.json.encode(("tapekit auth account", name, roles, svms, login))
