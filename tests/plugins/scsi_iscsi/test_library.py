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


@final
class DiscoveryCalls:
    """A library that has no list of targets to give."""

    def __init__(self, error: bytes) -> None:
        self.error = error
        self.given_back: list[object] = []
        self.kinds: list[int] = []
        self.named: list[bytes] = []

    def iscsi_create_context(self, _name: bytes) -> int:
        return 1

    def iscsi_get_fd(self, _context: int) -> int:
        return self.connection.fileno()

    def iscsi_set_session_type(self, _context: int, kind: int) -> int:
        self.kinds.append(kind)
        return 0

    def iscsi_set_targetname(self, _context: int, name: bytes) -> int:
        self.named.append(name)
        return 0

    def iscsi_discovery_sync(self, _context: int) -> None:
        return None

    def iscsi_free_discovery_data(self, _context: int, first: object) -> None:
        self.given_back.append(first)

    def iscsi_get_error(self, _context: int) -> bytes:
        return self.error

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: 0


@pytest.mark.parametrize("error", [b"", b"Poll failed"])
def test_no_targets_are_told_from_no_answer(error: bytes) -> None:
    calls: Any = DiscoveryCalls(error)
    login = LOGIN._replace(target=Target("10.0.0.7:3260", ""))
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as calls.connection,
    ):
        context = Context(Library(calls, 64), login)
        if error:
            with pytest.raises(LibraryFailure, match="Poll failed"):
                context.offers()
        else:
            assert context.offers() == []
        context.destroy()
    assert (calls.kinds, calls.named) == ([1], [])


def test_a_portal_that_has_hung_up_tells_nothing() -> None:
    calls: Any = DiscoveryCalls(b"")
    with socket.socket() as calls.connection:
        context = Context(Library(calls, 64), LOGIN._replace(target=Target("10.0.0.7:3260", "")))
        with pytest.raises(LibraryFailure, match="not connected"):
            context.offers()
        context.destroy()
