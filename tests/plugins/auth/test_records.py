"""Records of users as the state store has them."""

from __future__ import annotations

import json

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit_auth.logins import Application, Login, LoginMethod
from tapekit_auth.records import AccountRecord, AccountSecrets, UserRecord, decoded

LOGIN = Login((Application.SSH,), LoginMethod.PASSWORD)


@pytest.mark.parametrize(
    "record",
    [
        UserRecord(("backup",), (), b"sealed"),
        AccountRecord(("vsadmin",), ("vs1",), LOGIN, b"sealed"),
    ],
)
def test_both_kinds_come_back(record: UserRecord | AccountRecord) -> None:
    assert decoded("anna", msgspec.json.encode(record)) == record


def test_a_user_of_an_earlier_version_is_read() -> None:
    data = b'{"format":1,"roles":["backup"],"svms":["vs1"],"sealed":"c2VhbGVk"}'
    assert decoded("anna", data) == UserRecord(("backup",), ("vs1",), b"sealed")
    assert decoded("anna", data).login is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"format":3,"roles":[],"svms":[],"sealed":""}',
        b'{"format":2,"roles":[],"svms":[],"sealed":""}',
        b'{"format":1,"roles":[],"svms":[],"sealed":"","login":null}',
    ],
)
def test_what_is_neither_is_told_as_damaged(data: bytes) -> None:
    with pytest.raises(TapekitError) as refused:
        decoded("anna", data)
    assert refused.value.id == "auth.record-damaged"


def test_secrets_do_not_show_themselves() -> None:
    kept = AccountSecrets(b"credential", b"salt", ndmp_password="Correct0Horse1Ba")
    assert "Correct" not in repr(kept)
    assert json.loads(msgspec.json.encode(kept))["ndmp_password"] == "Correct0Horse1Ba"
