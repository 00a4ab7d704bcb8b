"""libiscsi is found or asked for; its structures are looked for, not assumed."""

from __future__ import annotations

import ctypes.util
import socket
from typing import Any, final

import pytest

from tapekit.errors import TapekitError
from tapekit_scsi_iscsi.library import Context, Library, LibraryFailure, Login, load_library
from tapekit_scsi_iscsi.settings import Target

LOGIN = Login("iqn.2026-11.x:me", Target("10.0.0.7:3260", "iqn.2026-11.x:y"), None, 5)


@final
class FailingCalls:
    """A library that loses a command in its middle."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.called: list[str] = []

    def iscsi_create_context(self, _name: bytes) -> int:
        return 1

    def iscsi_get_fd(self, _context: int) -> int:
        return self._connection.fileno()

    def iscsi_get_error(self, _context: int) -> bytes:
        return b"Poll failed"

    def scsi_create_task(self, *_arguments: object) -> object:
        return object()

    def iscsi_scsi_command_sync(self, *_arguments: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        self.called.append(name)
        return lambda *_arguments: 0


needs_library = pytest.mark.skipif(
    ctypes.util.find_library("iscsi") is None, reason="apt-get install libiscsi7"
)


def test_a_missing_library_is_asked_for() -> None:
    with pytest.raises(TapekitError, match="libiscsi") as caught:
        load_library(("libiscsi-none.so.0", "iscsi-none"))
    assert "apt-get install libiscsi7" in caught.value.fault.action


def test_another_library_is_not_taken_for_it() -> None:
    name = ctypes.util.find_library("c")
    assert name is not None
    with pytest.raises(TapekitError, match="it has no iscsi_create_context"):
        load_library((name,))


def test_what_a_lost_command_may_still_write_to_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        calls: Any = FailingCalls(ours)
        context = Context(Library(calls, 64), LOGIN)
        with pytest.raises(LibraryFailure, match="Poll failed"):
            context.execute(0, bytes(6), b"", 0, 1)
        assert theirs.recv(1) == b""
        context.destroy()
    assert not {"scsi_free_scsi_task", "iscsi_destroy_context"} & set(calls.called)


@needs_library
def test_the_place_of_answers_is_found() -> None:
    assert load_library().answer_offset in range(64, 145, 8)


@needs_library
def test_a_login_that_nobody_takes_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    login = Login("iqn.2026-11.x:me", Target(f"127.0.0.1:{port}", "iqn.2026-11.x:y"), None, 5)
    with pytest.raises(LibraryFailure, match=r"does not answer|refused"):
        Context(load_library(), login)


@needs_library
def test_a_target_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        login = Login("iqn.2026-11.x:me", Target(f"127.0.0.1:{port}", "iqn.2026-11.x:y"), None, 1)
        with pytest.raises(LibraryFailure):
            Context(load_library(), login)
