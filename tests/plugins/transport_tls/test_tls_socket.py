"""What TLS makes of the bytes of a data connection."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit_transport_tls.introductions import new_identity
from tapekit_transport_tls.tls_socket import TlsSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORD = 16384
OVERHEAD = 22
"""Bytes that TLS 1.3 adds to each record with AES-GCM or ChaCha20."""


class Joined:
    """A socket under test, and the TLS of its peer above a plain socket."""

    def __init__(self) -> None:
        near, self.below = socket.socketpair()
        context = new_identity(dt.datetime.now(dt.UTC)).context
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        near.setblocking(False)
        secure = context.wrap_socket(
            near, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.peer = client.wrap_bio(self.come, self.go)
        for _ in range(2):
            for step in (self.peer.do_handshake, secure.do_handshake):
                with contextlib.suppress(ssl.SSLWantReadError):
                    step()
                self.carry()
        self.below.setblocking(True)
        self.near = TlsSocket(secure)

    def carry(self) -> None:
        """Bring what the peer says to the socket, and what has come to the peer."""
        self.below.sendall(self.go.read())
        self.below.setblocking(False)
        try:
            while data := self.below.recv(1 << 20):
                self.come.write(data)
        except BlockingIOError:
            pass

    def peer_reads(self) -> bytes:
        self.carry()
        found = b""
        try:
            while data := self.peer.read(RECORD):
                found += data
        except ssl.SSLWantReadError:
            pass
        return found

    def close(self) -> None:
        self.near.close()
        self.below.close()


@pytest.fixture
def joined() -> Iterator[Joined]:
    joined = Joined()
    yield joined
    joined.close()


@given(sizes=st.lists(st.sampled_from([0, 1, 100, 16383, 16384, 16385, 40000]), max_size=4))
def test_pieces_of_any_size_arrive_in_order_in_full_records(sizes: list[int]) -> None:
    joined = Joined()
    pieces = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    total = sum(sizes)
    assert joined.near.sendmsg([memoryview(each) for each in pieces]) == total
    joined.carry()
    # A large piece behind small ones stays in step with the records.
    assert joined.come.pending == total + OVERHEAD * -(-total // RECORD)
    assert joined.peer_reads() == b"".join(pieces)
    joined.close()


def test_what_does_not_fit_goes_on_where_it_stopped(joined: Joined) -> None:
    data = memoryview(bytes(range(256)) * 16384)
    done, found = 0, b""
    stops = 0
    while done < len(data):
        try:
            done += joined.near.sendmsg([data[done:]])
        except BlockingIOError:
            stops += 1
            found += joined.peer_reads()
    assert stops
    assert found + joined.peer_reads() == data


def test_as_much_comes_as_is_there(joined: Joined) -> None:
    joined.peer.write(b"a" * RECORD)
    joined.peer.write(b"b" * 10)
    joined.carry()
    buffer = bytearray(3 * RECORD)
    assert joined.near.recv_into(buffer) == RECORD + 10
    assert buffer[RECORD - 1 : RECORD + 10] == b"a" + b"b" * 10
    with pytest.raises(BlockingIOError):
        joined.near.recv_into(buffer)
    with pytest.raises(BlockingIOError):
        joined.near.recv(10)


def test_the_end_is_told_inside_tls(joined: Joined) -> None:
    joined.near.shutdown(socket.SHUT_WR)
    joined.carry()
    assert joined.peer.read(1) == b""
    assert joined.below.recv(1) == b""


def test_an_end_that_the_peer_told_is_one_as_often_as_asked(joined: Joined) -> None:
    joined.peer.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        joined.peer.unwrap()
    joined.carry()
    buffer = bytearray(100)
    assert joined.near.recv_into(buffer) == 4
    assert joined.near.recv_into(buffer) == 0
    assert joined.near.recv_into(buffer) == 0
    assert joined.near.recv(1) == b""


def test_a_peer_that_leaves_at_the_end_is_no_error(joined: Joined) -> None:
    joined.below.shutdown(socket.SHUT_WR)
    joined.near.shutdown(socket.SHUT_WR)
    assert joined.near.recv_into(bytearray(1)) == 0


def test_an_end_of_the_connection_below_is_an_error(joined: Joined) -> None:
    joined.peer.write(b"half")
    joined.carry()
    joined.below.close()
    buffer = bytearray(4)
    assert joined.near.recv_into(buffer) == 4
    with pytest.raises(ssl.SSLEOFError):
        joined.near.recv_into(buffer)


def fill(near: TlsSocket) -> None:
    while True:
        os.write(near.fileno(), bytes(RECORD))


def drain(below: socket.socket) -> None:
    below.setblocking(False)
    while True:
        below.recv(1 << 20)


def test_a_farewell_waits_for_room(joined: Joined) -> None:
    with pytest.raises(BlockingIOError):
        fill(joined.near)
    with pytest.raises(BlockingIOError):
        joined.near.shutdown(socket.SHUT_WR)
    with pytest.raises(BlockingIOError):
        drain(joined.below)
    joined.near.shutdown(socket.SHUT_WR)
    joined.carry()
    assert joined.peer.read(1) == b""
