"""The states of a session, as a table (NDMP v4, CONNECT interface).

A client may skip CONNECT_OPEN: its first other message accepts the version
that the server has offered. A failed login takes an earlier one away.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSITIONS", "SessionEvent", "SessionState"]


class SessionState(enum.Enum):
    """How far client and server have come."""

    GREETED = "the server has offered a version"
    OPEN = "the version is agreed"
    AUTHENTICATED = "the client is logged in"
    CLOSED = "over"


class SessionEvent(enum.Enum):
    """What moves a session.

    ``OPENED`` is a granted CONNECT_OPEN or any other first message.
    """

    OPENED = "CONNECT_OPEN"
    LOGGED_IN = "CONNECT_CLIENT_AUTH granted"
    LOGIN_REFUSED = "CONNECT_CLIENT_AUTH refused"
    CLOSED = "CONNECT_CLOSE or the connection's end"


S, E = SessionState, SessionEvent

TRANSITIONS: Final[Mapping[SessionState, Mapping[SessionEvent, SessionState]]] = {
    S.GREETED:       {E.OPENED: S.OPEN, E.CLOSED: S.CLOSED},
    S.OPEN:          {E.OPENED: S.OPEN, E.LOGGED_IN: S.AUTHENTICATED,
                      E.LOGIN_REFUSED: S.OPEN, E.CLOSED: S.CLOSED},
    S.AUTHENTICATED: {E.OPENED: S.AUTHENTICATED, E.LOGGED_IN: S.AUTHENTICATED,
                      E.LOGIN_REFUSED: S.OPEN, E.CLOSED: S.CLOSED},
    S.CLOSED:        {},
}  # fmt: skip
