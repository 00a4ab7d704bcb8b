"""Passwords are read from a file that is its owner's alone, and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_scsi_iscsi.credentials import Chap, read_credentials

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '["iqn.2026-11.x:y"]\nuser = "me"\npassword = "hidden-words"\n'


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "credentials.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_credentials_are_found_by_target(tmp_path: Path) -> None:
    both = GOOD + 'target_user = "it"\ntarget_password = "other-words"\n'
    assert read_credentials(secret(tmp_path, both)) == {
        "iqn.2026-11.x:y": Chap(
            user="me", password="hidden-words", target_user="it", target_password="other-words"
        )
    }


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(TapekitError, match=f"open to others .mode {mode:04o}"):
        read_credentials(secret(tmp_path, GOOD, mode))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapekitError, match=r"none\.toml with the credentials.*No such file"):
        read_credentials(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text",
    [
        "hidden-words",
        '["x"]\npassword = "hidden-words"\n',
        '["x"]\nuser = "me"\npassword = "hidden-words"\nmore = 1\n',
        GOOD + 'target_user = "it"\n',
        GOOD.replace('words"', "words"),
    ],
)
def test_what_is_malformed_is_refused_without_the_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(TapekitError, match="these are no credentials") as caught:
        read_credentials(secret(tmp_path, text))
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_password_is_not_shown() -> None:
    assert "hidden" not in repr(Chap(user="me", password="hidden"))
