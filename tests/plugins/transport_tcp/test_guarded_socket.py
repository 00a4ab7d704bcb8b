"""The socket that one thread uses and any thread may break."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tapekit.segments import ConnectionBroken
from tapekit_transport_tcp.guarded_socket import GuardedSocket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def joined() -> Iterator[tuple[GuardedSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    guarded = GuardedSocket(near)
    yield guarded, far
    guarded.end(reset=False)
    far.close()


def test_the_first_end_decides_how(joined: tuple[GuardedSocket, socket.socket]) -> None:
    guarded, far = joined
    guarded.end(reset=False)
    guarded.end(reset=True)
    assert guarded.is_ended
    assert far.recv(1) == b""


def test_a_reset_reaches_the_peer_in_place_of_the_end(
    joined: tuple[GuardedSocket, socket.socket],
) -> None:
    guarded, far = joined
    guarded.send([memoryview(b"half")])
    guarded.end(reset=True)
    assert far.recv(8) == b"half"
    with pytest.raises(ConnectionResetError):
        far.recv(8)


def test_send_file_gives_zero_beyond_the_end_of_the_file(
    joined: tuple[GuardedSocket, socket.socket], tmp_path: Path
) -> None:
    guarded, far = joined
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    fd = os.open(path, os.O_RDONLY)
    assert guarded.send_file(fd, 2, 100) == 4
    assert guarded.send_file(fd, 6, 100) == 0
    assert far.recv(10) == b"cdef"
    os.close(fd)


def test_send_file_leaves_the_error_of_a_file_to_the_caller(
    joined: tuple[GuardedSocket, socket.socket], tmp_path: Path
) -> None:
    guarded, _ = joined
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=r"Invalid argument|Is a directory"):
        guarded.send_file(folder, 0, 10)
    os.close(folder)
    assert not guarded.is_ended


def test_an_error_of_the_socket_is_a_broken_connection_with_its_reason(
    joined: tuple[GuardedSocket, socket.socket],
) -> None:
    guarded, _ = joined
    guarded.finish()
    with pytest.raises(ConnectionBroken, match="Broken pipe"):
        guarded.send([memoryview(b"late")])


class LateFarewell(socket.socket):
    """Has no room for the end at first, as a layer with an end of its own may."""

    attempts = 0

    def shutdown(self, how: int, /) -> None:
        self.attempts += 1
        if self.attempts < 3:
            raise BlockingIOError
        super().shutdown(how)


def test_an_end_that_finds_no_room_is_told_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = LateFarewell()
        near.connect(server.getsockname())
        far, _ = server.accept()
    guarded = GuardedSocket(near)
    guarded.finish()
    assert near.attempts == 3
    assert far.recv(1) == b""
    guarded.end(reset=False)
    far.close()
