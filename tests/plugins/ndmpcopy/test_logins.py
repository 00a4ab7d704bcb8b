"""Users and passwords: from the command line, a file or a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.numbers import AuthType
from tapekit_ndmpcopy.logins import AuthWord, Login, LoginOptions, read_login

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit_ndmpcopy.logins import Ask


def login(
    text: str, file: Path | None = None, *, prompts: bool = False, ask: Ask | None = None
) -> Login:
    return read_login(LoginOptions("source", text, AuthWord.MD5, file, prompts), ask)


def refused_id(text: str, file: Path | None = None, *, prompts: bool = False) -> str:
    with pytest.raises(TapekitError) as refused:
        login(text, file, prompts=prompts)
    return refused.value.id


def secret_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> Path:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.requirement("R096")
@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("admin:secret", "admin", b"secret"),
        ("admin:se:cr:et", "admin", b"se:cr:et"),
        ("admin:p\xe4ss", "admin", "p\xe4ss".encode()),
        ("admin:p\udce4ss", "admin", b"p\xe4ss"),
    ],
)
def test_a_login_on_the_command_line(text: str, user: str, password: bytes) -> None:
    assert login(text) == Login(user=user, password=password, method=AuthType.MD5)


@pytest.mark.requirement("R098")
@pytest.mark.parametrize(
    ("word", "method"), [(AuthWord.MD5, AuthType.MD5), (AuthWord.TEXT, AuthType.TEXT)]
)
def test_the_type_of_authentication(word: AuthWord, method: AuthType) -> None:
    assert read_login(LoginOptions("source", "a:b", word), None).method is method


@pytest.mark.requirement("R096")
def test_a_login_without_a_user_is_refused() -> None:
    assert refused_id(":secret") == refused_id("") == "ndmpcopy.no-user"


@pytest.mark.parametrize("text", ["admin:", "admin"])
def test_a_missing_password_is_asked_for(text: str) -> None:
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "typed"

    assert login(text, ask=answer).password == b"typed"
    assert questions == ["NDMP password of admin at the source"]


def test_without_a_terminal_a_missing_password_is_an_error() -> None:
    assert refused_id("admin:") == "ndmpcopy.no-password"


@pytest.mark.requirement("R102")
def test_the_prompt_overrides_everything(tmp_path: Path) -> None:
    file = secret_file(tmp_path, b"from the file\n")
    assert login("admin:given", file, prompts=True, ask=lambda _: "typed").password == b"typed"


@pytest.mark.requirement("R102")
def test_the_prompt_works_at_a_terminal_only() -> None:
    assert refused_id("admin:given", prompts=True) == "ndmpcopy.no-terminal"


@pytest.mark.parametrize("content", [b"secret\n", b"secret", b"secret\r\n", b"secret\nmore\n"])
def test_a_password_file_has_it_in_its_first_line(tmp_path: Path, content: bytes) -> None:
    assert login("admin:given", secret_file(tmp_path, content)).password == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_password_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    assert refused_id("a:", secret_file(tmp_path, b"x\n", mode)) == "ndmpcopy.password-file-exposed"


def test_a_password_file_that_has_none_is_refused(tmp_path: Path) -> None:
    unreadable = "ndmpcopy.password-file-unreadable"
    assert refused_id("a:", secret_file(tmp_path, b"\nx\n")) == unreadable
    assert refused_id("a:", tmp_path / "nothing") == unreadable
    assert refused_id("a:", tmp_path) == unreadable


def test_a_login_shows_no_password() -> None:
    assert "secret" not in repr(login("admin:secret"))
