"""Users of the stack file and of the state store."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_auth.accounts import NAMESPACE, Accounts, StoredUsers, read_listed_users
from tapekit_auth.roles import roles_with
from tapekit_auth.sealing import KeyFile, Sealer
from tapekit_auth.settings import ListedUser

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PASSWORD = "Correct0Horse1Ba"
ROLES = roles_with(())


@pytest.fixture
def state() -> MemoryStateStore:
    return MemoryStateStore()


@pytest.fixture
def stored(state: MemoryStateStore, tmp_path: Path) -> StoredUsers:
    return StoredUsers(state, KeyFile(tmp_path / "auth.key"))


def password_file(folder: Path, password: str = PASSWORD) -> str:
    path = folder / "password"
    path.touch(0o600)
    path.write_text(password + "\n")
    return path.name


def change_record(state: MemoryStateStore, name: str, **changes: object) -> None:
    record = json.loads(state.get(NAMESPACE, name) or b"")
    state.change(NAMESPACE, {name: json.dumps(record | changes).encode()})


def test_listed_users_have_the_password_of_their_file(tmp_path: Path) -> None:
    listed = [ListedUser(name="anna", password_file=password_file(tmp_path), svms=("vs1",))]
    account = read_listed_users(listed, tmp_path, ROLES)["anna"]
    assert account.password == PASSWORD.encode()
    assert account.user is not None
    assert (account.user.roles, account.user.svms) == (("backup",), ("vs1",))
    assert PASSWORD not in repr(account)


@pytest.mark.parametrize(
    ("listed", "row"),
    [
        ([ListedUser(name="anna", password_file="password")] * 2, "user-twice"),
        ([ListedUser(name="anna", password_file="password", roles=("x",))], "unknown-role"),
        ([ListedUser(name="anna", password_file="password", roles=("vsadmin",))], "role-needs-svm"),
        ([ListedUser(name="anna", password_file="nowhere")], "secret-unreadable"),
    ],
)
def test_a_listed_user_that_cannot_be_used_is_told(
    listed: list[ListedUser], row: str, tmp_path: Path
) -> None:
    password_file(tmp_path)
    with pytest.raises(TapekitError) as refused:
        read_listed_users(listed, tmp_path, ROLES)
    assert refused.value.id == f"auth.{row}"


def test_an_added_user_has_its_password(stored: StoredUsers, state: MemoryStateStore) -> None:
    stored.add("anna", ["vsadmin"], ["vs1", "vs2"], PASSWORD)
    account = stored.account("anna")
    assert account.password == PASSWORD.encode()
    assert account.user is not None
    assert account.user == stored.users()[0]
    assert (account.user.roles, account.user.svms) == (("vsadmin",), ("vs1", "vs2"))
    assert PASSWORD.encode() not in (state.get(NAMESPACE, "anna") or b"")


def test_a_user_is_added_once_and_removed_once(stored: StoredUsers) -> None:
    stored.add("anna", ["backup"], [], PASSWORD)
    with pytest.raises(TapekitError) as twice:
        stored.add("anna", ["admin"], [], "another")
    assert twice.value.id == "auth.user-exists"
    assert stored.account("anna").password == PASSWORD.encode()
    stored.remove("anna")
    assert stored.account("anna").user is None
    with pytest.raises(TapekitError) as gone:
        stored.remove("anna")
    assert gone.value.id == "auth.no-such-user"


def test_nobody_has_a_password_that_nobody_knows(stored: StoredUsers) -> None:
    account = stored.account("nobody")
    assert account.user is None
    assert len(account.password) == len(PASSWORD)
    assert "nobody" not in repr(account)


def test_a_lookup_opens_one_seal_whoever_the_user_is(
    stored: StoredUsers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.add("anna", ["backup"], [], PASSWORD)
    listed = read_listed_users(
        [ListedUser(name="bert", password_file=password_file(tmp_path))], tmp_path, ROLES
    )
    accounts = Accounts(listed, stored)
    unseal, opened = Sealer.unseal, []

    def counted(self: Sealer, sealed: bytes, bound_to: bytes) -> bytes:
        opened.append(len(sealed))
        return unseal(self, sealed, bound_to)

    monkeypatch.setattr(Sealer, "unseal", counted)
    for name in ("anna", "bert", "nobody"):
        accounts.account(name)
    assert len(opened) == 3
    assert len(set(opened)) == 1


@pytest.mark.parametrize("changes", [{"roles": ["admin"]}, {"svms": []}])
def test_roles_and_svms_are_under_the_seal(
    changes: dict[str, object], stored: StoredUsers, state: MemoryStateStore
) -> None:
    stored.add("anna", ["vsadmin"], ["vs1"], PASSWORD)
    change_record(state, "anna", **changes)
    for call in (lambda: stored.account("anna"), stored.verify):
        with pytest.raises(TapekitError) as broken:
            call()
        assert broken.value.id == "auth.sealed-otherwise"


def test_a_seal_does_not_fit_another_user(stored: StoredUsers, state: MemoryStateStore) -> None:
    stored.add("anna", ["backup"], [], PASSWORD)
    state.change(NAMESPACE, {"bert": state.get(NAMESPACE, "anna")})
    with pytest.raises(TapekitError) as broken:
        stored.account("bert")
    assert broken.value.id == "auth.sealed-otherwise"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format":2,"roles":[],"svms":[],"sealed":""}'])
def test_a_damaged_record_is_told_and_can_be_removed(
    data: bytes, stored: StoredUsers, state: MemoryStateStore
) -> None:
    state.change(NAMESPACE, {"anna": data})
    for call in (lambda: stored.account("anna"), stored.users, stored.verify):
        with pytest.raises(TapekitError, match="anna") as damaged:
            call()
        assert damaged.value.id == "auth.record-damaged"
    stored.remove("anna")
    stored.verify()


def test_without_the_key_no_user_is_added_beside_sealed_ones(
    state: MemoryStateStore, tmp_path: Path
) -> None:
    key = tmp_path / "auth.key"
    StoredUsers(state, KeyFile(key)).add("anna", ["backup"], [], PASSWORD)
    key.unlink()
    stored = StoredUsers(state, KeyFile(key))
    for call in (lambda: stored.add("bert", ["backup"], [], PASSWORD), stored.verify):
        with pytest.raises(TapekitError) as missing:
            call()
        assert missing.value.id == "auth.key-missing"
    assert not key.exists()


def test_with_another_key_the_users_are_told(state: MemoryStateStore, tmp_path: Path) -> None:
    StoredUsers(state, KeyFile(tmp_path / "one.key")).add("anna", ["backup"], [], PASSWORD)
    other = KeyFile(tmp_path / "other.key")
    other.sealer(may_make=True)
    with pytest.raises(TapekitError, match=r"other\.key") as broken:
        StoredUsers(state, other).verify()
    assert broken.value.id == "auth.sealed-otherwise"


def test_a_listed_user_hides_a_stored_one(stored: StoredUsers, tmp_path: Path) -> None:
    stored.add("anna", ["admin"], [], "another password")
    stored.add("carl", ["admin"], [], "another password")
    listed = [ListedUser(name="anna", password_file=password_file(tmp_path))]
    accounts = Accounts(read_listed_users(listed, tmp_path, ROLES), stored)
    assert accounts.account("anna").password == PASSWORD.encode()
    assert [(user.name, user.kept_in) for user in accounts.users()] == [
        ("anna", "stack file"),
        ("carl", "state store"),
    ]
    assert accounts.is_listed("anna")
    assert not accounts.is_listed("carl")


def test_a_change_waits_for_another_one(tmp_path: Path) -> None:
    key, state = KeyFile(tmp_path / "auth.key"), MemoryStateStore()
    stored = StoredUsers(state, key)
    stored.add("anna", ["backup"], [], PASSWORD)
    found = stored.found("anna")
    refused: list[TapekitError] = []

    def widen() -> None:
        try:
            StoredUsers(state, KeyFile(key.path)).modify(found, ["admin"], [])
        except TapekitError as error:
            refused.append(error)

    with key.held():
        other = threading.Thread(target=widen)
        other.start()
        state.change(NAMESPACE, {"anna": None})
    other.join(60)
    assert [error.id for error in refused] == ["auth.user-changed-meanwhile"]
    assert stored.users() == []


def test_every_change_is_told_once_it_is_made(tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []
    state = MemoryStateStore()

    def tell(what: str, user: str, roles: Sequence[str] = (), svms: Sequence[str] = ()) -> None:
        told.append((what, user, *roles, *svms))

    stored = StoredUsers(state, KeyFile(tmp_path / "auth.key"), tell)
    stored.add("anna", ["backup"], [], PASSWORD)
    stored.modify(stored.found("anna"), ["vsadmin"], ["vs1"])
    stored.make_password("anna")
    with pytest.raises(TapekitError):
        stored.add("anna", ["backup"], [], PASSWORD)
    stored.remove("anna")
    assert told == [
        ("user-added", "anna", "backup"),
        ("user-changed", "anna", "vsadmin", "vs1"),
        ("password-made", "anna"),
        ("user-removed", "anna"),
    ]
