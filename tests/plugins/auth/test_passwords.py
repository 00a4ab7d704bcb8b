"""Passwords: generated, read, refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_auth.passwords import generated_password, read_password

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.touch(0o600)
    return file


@pytest.mark.requirement("R180")
def test_a_generated_password_has_16_letters_and_digits() -> None:
    passwords = {generated_password() for _ in range(100)}
    assert len(passwords) == 100
    assert all(re.fullmatch("[A-Za-z0-9]{16}", password) for password in passwords)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"Correct0Horse", b"Correct0Horse"),
        (b"Correct0Horse\n", b"Correct0Horse"),
        (b"Correct0Horse\r\n", b"Correct0Horse"),
        (b" with blanks \n", b" with blanks "),
        (b"caf\xe9-latin\n", b"caf\xe9-latin"),
    ],
)
def test_the_only_line_is_the_password(file: Path, content: bytes, password: bytes) -> None:
    file.write_bytes(content)
    assert read_password("anna", file) == password


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_password_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(TapekitError, match="anna") as refused:
        read_password("anna", file)
    assert refused.value.id == "auth.empty-password"


@pytest.mark.requirement("R174")
@pytest.mark.parametrize(
    "content", [b"anna", b"ANNA\n", b"ndmp", b"Password", b"root", b"netapp1!"]
)
def test_a_password_that_everybody_tries_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(TapekitError, match="anna") as refused:
        read_password("anna", file)
    assert refused.value.id == "auth.default-password"
    assert refused.value.facts == {"user": "anna", "file": file}


@pytest.mark.parametrize("content", [b"one\ntwo", b"one\n\n", b"\none\n"])
def test_more_than_one_line_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(TapekitError) as refused:
        read_password("anna", file)
    assert refused.value.id == "auth.password-not-one-line"
    assert "one\n" not in refused.value.explained
