"""The socket's file: who may open it, who may have it, and how it is found."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_admin.errors import NotRunning
from tapekit_admin.socket_place import ListeningPlace, connect

if TYPE_CHECKING:
    from pathlib import Path


def test_only_its_owner_may_open_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "admin.sock"
    before = os.umask(0)
    try:
        place = ListeningPlace(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)
    place.close()
    assert not path.exists()


def test_a_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "admin.sock"
    place = ListeningPlace(path)
    with connect(path, tmp_path):
        accepted, _ = place.socket.accept()
        accepted.close()
    place.close()


def test_a_second_server_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    place = ListeningPlace(path)
    with pytest.raises(TapekitError) as refused:
        ListeningPlace(path)
    assert refused.value.id == "admin.already-served"
    assert str(refused.value) == f"another server uses {path} (process {os.getpid()})"
    assert path.exists(), "the first server keeps its socket"
    place.close()
    ListeningPlace(path).close()


def test_what_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    source = (
        "import os, sys; from pathlib import Path;"
        "from tapekit_admin.socket_place import ListeningPlace;"
        "place = ListeningPlace(Path(sys.argv[1])); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", source, path], check=False).returncode == 9
    assert path.exists()
    with pytest.raises(NotRunning):
        connect(path, tmp_path)
    place = ListeningPlace(path)
    connect(path, tmp_path).close()
    place.close()


@pytest.mark.parametrize("missing", ["", "no/such/folder/"])
def test_nobody_listens_is_an_error_of_its_own(missing: str, tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no server of the stack in"):
        connect(tmp_path / missing / "admin.sock", tmp_path)


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TapekitError) as refused:
        ListeningPlace(tmp_path / "file" / "admin.sock")
    assert refused.value.id == "admin.socket-not-made"


def test_a_socket_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.sock").mkdir()
    with pytest.raises(TapekitError) as refused:
        ListeningPlace(tmp_path / "folder.sock")
    assert refused.value.id == "admin.socket-not-made"
