"""The caller's end of the management socket, for commands.

Plain blocking sockets: a command does one thing and ends. The one rule: an
error that the server tells comes out as the error that was raised there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import msgspec

from tapekit.hookspecs.operations import Feed, Operation, OperationRefused, Privilege
from tapekit_admin.errors import CATALOGUE, NotRunning
from tapekit_admin.protocol import (
    ANSWER_BYTES,
    PROTOCOL_VERSION,
    Answer,
    Call,
    End,
    Failed,
    Item,
    Reply,
    line,
)
from tapekit_admin.socket_place import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from socket import socket

__all__ = ["SocketManagement"]

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)


@final
class SocketManagement:
    """A :class:`tapekit.hookspecs.operations.Management` over the socket, and
    :class:`tapekit.hookspecs.operations.ManyNodes`.
    """

    def __init__(
        self, socket: str, nodes: Mapping[str, str] | None = None, node: str | None = None
    ) -> None:
        """:param nodes: the sockets of other nodes, by their names.
        :param node: the name of the node that answers, if it is another one.
        """
        self._socket: Final = socket
        self._node: Final = node
        self._directory = Path()
        self.nodes: Final[Mapping[str, SocketManagement]] = {
            name: SocketManagement(path, node=name) for name, path in (nodes or {}).items()
        }
        """See :attr:`ManyNodes.nodes`."""

    def settle(self, directory: Path) -> None:
        """Learn the stack's folder; called once, before all else."""
        self._directory = directory
        for way in self.nodes.values():
            way.settle(directory)

    @property
    def path(self) -> Path:
        """Where the socket is."""
        return self._directory / self._socket

    def call(
        self, operation: Operation[Q, R], request: Q, privilege: Privilege = Privilege.ADMIN
    ) -> R:
        """See :meth:`Management.call`.

        :raises NotRunning: no server of the stack runs.
        """
        for answer in self._answers(operation, request, privilege):
            if isinstance(answer, Reply):
                return _value(operation, answer.value)
        raise CATALOGUE.error("server-went-away", operation=operation.name)

    def follow(
        self, feed: Feed[Q, R], request: Q, privilege: Privilege = Privilege.ADMIN
    ) -> Iterator[R]:
        """See :meth:`Management.follow`.

        :raises NotRunning: no server of the stack runs.
        """
        for answer in self._answers(feed, request, privilege):
            match answer:
                case Item(value=value):
                    yield _value(feed, value)
                case End():
                    return
        raise CATALOGUE.error("server-went-away", operation=feed.name)

    def _answers(
        self, operation: Operation[Any, Any] | Feed[Any, Any], request: Q, privilege: Privilege
    ) -> Iterator[Answer]:
        call = Call(
            version=PROTOCOL_VERSION,
            operation=operation.name,
            privilege=privilege.value,
            request=msgspec.Raw(msgspec.json.encode(request)),
        )
        with self._connected() as connection, connection.makefile("rb") as lines:
            try:
                connection.sendall(line(call))
                while received := lines.readline(ANSWER_BYTES):
                    answer = _answer(operation.name, received)
                    if isinstance(answer, Failed):
                        raise OperationRefused.told(
                            id=answer.id, message=answer.message, action=answer.action
                        )
                    yield answer
            except OSError as error:
                raise CATALOGUE.error("server-went-away", operation=operation.name) from error

    def _connected(self) -> socket:
        try:
            return connect(self.path, self._directory)
        except NotRunning as error:
            if self._node is None:
                raise
            raise CATALOGUE.raised_as(
                NotRunning, "node-not-running", node=self._node, socket=self.path
            ) from error


def _answer(operation: str, received: bytes) -> Answer:
    try:
        answer: Answer = msgspec.json.decode(received, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CATALOGUE.error("answer-not-understood", operation=operation, reason=error) from None
    return answer


def _value(operation: Operation[Any, R] | Feed[Any, R], value: msgspec.Raw) -> R:
    try:
        return msgspec.json.decode(value, type=operation.reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CATALOGUE.error(
            "answer-not-understood", operation=operation.name, reason=error
        ) from None
