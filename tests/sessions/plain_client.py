"""A client session driven by hand from plain code, one request at a time."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from session_stack import clock
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import HeaderError, NdmpConnection, Post, Reply, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_ndmp_v4.numbers import DataState, MoverState
    from tapekit_ndmp_v4.wire import Message

PATIENCE_S: Final = 60.0


class Lost(Exception):
    """The server has closed the connection."""


class PlainClient:
    """A session driven by hand from plain code."""

    def __init__(self, port: int) -> None:
        self.wire = NdmpConnection(Role.CLIENT, clock=clock)
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.posts: deque[Message] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, request: Message) -> None:
        self.socket.sendall(self.wire.send_request(request))

    def ask(self, request: Message) -> Reply | HeaderError:
        """The answer to a request; posts before it are kept."""
        self.send(request)
        while True:
            event = self._next_event()
            if isinstance(event, Reply | HeaderError):
                assert event.header.reply_sequence == self.wire.sequence
                return event

    def errors(self, request: Message) -> tuple[int, int | None]:
        """The header's error and the body's, which is ``None`` without a body."""
        match self.ask(request):
            case HeaderError(error=error):
                return error, None
            case Reply(body=body):
                return 0, body.error  # type: ignore[attr-defined]  # every reply has one

    def do(self, request: Message) -> Any:
        """The reply to a request that must be granted."""
        answer = self.ask(request)
        assert isinstance(answer, Reply), answer
        assert answer.body.error == 0, (request, answer.body)  # type: ignore[attr-defined]  # likewise
        return answer.body

    def post(self, *kinds: type[Message]) -> Any:
        """The oldest post of these types, waiting for one."""
        while True:
            for each in self.posts:
                if isinstance(each, kinds):
                    self.posts.remove(each)
                    return each
            event = self._next_event()
            assert event is None, event

    def states(self) -> tuple[DataState, MoverState]:
        """Where both machines are."""
        data = self.do(m.DataGetStateRequest()).state
        return data, self.do(m.MoverGetStateRequest()).state

    def until(self, data: DataState, mover: MoverState) -> None:
        """Ask until both machines are there."""
        for _ in range(2000):
            if (found := self.states()) == (data, mover):
                return
        raise AssertionError(f"{found} does not become {(data, mover)}")

    def _next_event(self) -> Reply | HeaderError | None:
        """The next answer, or ``None`` when posts have come."""
        while (event := self.wire.next_event()) is None:
            data = self.socket.recv(65536)
            if not data:
                raise Lost
            self.wire.receive_data(data)
        if isinstance(event, Post):
            self.posts.append(event.body)
            return None
        assert isinstance(event, Reply | HeaderError), event
        return event


@contextmanager
def listening() -> Iterator[tuple[m.TcpAddrs, socket.socket]]:
    """A port of ours as an address for the server to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        yield tcp_address(server.getsockname()[1]), server


def tcp_address(port: int) -> m.TcpAddrs:
    return m.TcpAddrs(tcp_addr=(m.TcpAddr(ip=0x7F00_0001, port=port, addr_env=()),))
