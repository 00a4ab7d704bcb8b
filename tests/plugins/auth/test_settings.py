"""What the settings of logins accept."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_auth.settings import AuthSettings

USER = {"name": "anna", "password_file": "p"}


def decoded(**table: object) -> AuthSettings:
    return msgspec.convert(table, AuthSettings, strict=True)


def test_nothing_is_said_of_methods_by_default() -> None:
    assert decoded().methods is None


@pytest.mark.requirement("R173")
@pytest.mark.parametrize("method", ["challenge", "plaintext"])
def test_each_method_can_be_the_only_one(method: str) -> None:
    assert decoded(methods=[method]).methods == (method,)


def test_a_user_is_for_backup_on_all_svms_by_default() -> None:
    (user,) = decoded(users=[USER]).users
    assert (user.roles, user.svms) == (("backup",), ())


@pytest.mark.parametrize(
    "table",
    [
        {"methods": []},
        {"methods": ["none"]},
        {"users": [{"name": "anna"}]},
        {"users": [USER | {"password": "in the stack file"}]},
        {"users": [USER | {"name": ""}]},
        {"users": [USER | {"name": "an na"}]},
        {"users": [USER | {"name": "anna\x1b"}]},
        {"users": [USER | {"name": "anna\n"}]},
        {"users": [USER | {"name": "a" * 65}]},
        {"users": [USER | {"roles": []}]},
        {"key_file": ""},
        {"custom_roles": [{"name": "x", "commands": {"vserver services ndmp": "some"}}]},
        {"custom_roles": [{"name": "x", "commands": {}, "context": "node"}]},
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(**table)
