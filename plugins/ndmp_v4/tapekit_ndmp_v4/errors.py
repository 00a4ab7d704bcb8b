"""Errors of this plugin: its catalogue and the classes callers react to.

A :class:`RemoteProtocolError` is the peer's fault, a
:class:`LocalProtocolError` ours; the distinction decides which end is to be
looked at. Every row stands in ``errors.toml`` beside this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.errors import Catalogue, TapekitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.errors import Fault
    from tapekit_ndmp_v4.wire import Message

__all__ = [
    "CATALOGUE",
    "ConnectionLost",
    "LocalProtocolError",
    "NdmpReplyError",
    "OperationFailed",
    "RemoteProtocolError",
]

CATALOGUE: Final = Catalogue.of("ndmp_v4", "tapekit_ndmp_v4")


@final
class RemoteProtocolError(TapekitError):
    """The peer has sent what NDMP does not allow.

    If it comes out of the connection, the byte stream is lost: close it.
    """


@final
class LocalProtocolError(TapekitError):
    """We tried to send what NDMP does not allow; nothing was sent."""


@final
class ConnectionLost(TapekitError):
    """The control connection is gone, and the session with it."""


@final
class NdmpReplyError(TapekitError):
    """A server answered a client's request with an error.

    ``code`` is a member of :class:`~tapekit_ndmp_v4.numbers.NdmpError`, or
    the plain number of an extension; ``reply`` is the body, or ``None`` if
    the request was refused unread.
    """

    def __init__(self, fault: Fault, facts: Mapping[str, object]) -> None:
        super().__init__(fault, facts)
        code = facts["code"]
        if not isinstance(code, int):
            raise TypeError("an NdmpReplyError carries the fact 'code'")
        self.code: Final = code
        self.reply: Message | None = None


@final
class OperationFailed(TapekitError):
    """A backup or restore ended, and not well; both servers are idle again."""
