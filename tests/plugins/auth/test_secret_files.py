"""Files that hold a secret."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_auth.secret_files import create_secret, read_secret

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def refusal(file: Path) -> TapekitError:
    with pytest.raises(TapekitError) as refused:
        read_secret(file)
    return refused.value


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(file: Path, mode: int) -> None:
    file.write_bytes(b"content")
    file.chmod(mode)
    assert read_secret(file) == b"content"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o660])
def test_a_file_that_others_reach_is_refused_with_the_command_to_run(file: Path, mode: int) -> None:
    file.write_bytes(b"content")
    file.chmod(mode)
    error = refusal(file)
    assert error.id == "auth.secret-open-to-others"
    assert f"0{mode:o}" in str(error)
    assert f"chmod 600 {file}" in error.explained
    assert "content" not in error.explained


def test_a_missing_file_is_told(file: Path) -> None:
    error = refusal(file)
    assert error.id == "auth.secret-unreadable"
    assert str(error) == f"{file} cannot be read: No such file or directory"


def test_a_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert refusal(tmp_path).id == "auth.secret-unreadable"


def test_a_pipe_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file, 0o600)
    assert read_secret(file) == b""


def test_a_new_file_is_its_owners_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "secret"
    assert create_secret(file, b"content")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.stat().st_nlink == 1
    assert [path.name for path in file.parent.iterdir()] == ["secret"]
    assert read_secret(file) == b"content"


def test_an_existing_file_is_left_alone(file: Path) -> None:
    file.write_bytes(b"old")
    assert not create_secret(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


def test_of_many_that_make_a_file_one_wins_and_all_see_the_same(file: Path) -> None:
    def make(number: int) -> tuple[bool, bytes]:
        return create_secret(file, b"%d" % number), read_secret(file)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(make, range(8)))
    assert [won for won, _ in results].count(True) == 1
    assert len({content for _, content in results}) == 1


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TapekitError) as refused:
        create_secret(tmp_path / "file" / "secret", b"content")
    assert refused.value.id == "auth.secret-not-made"
