"""The states of the mover, as a table (NDMP v4, MOVER interface).

Requests and the mover's own news are events alike; an event that a state
has no row for is an illegal request or a late piece of news, and changes
nothing. Reasons of a pause or a halt are data beside the state, not states.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4.numbers import MoverState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSITIONS", "MoverEvent"]


class MoverEvent(enum.Enum):
    """What moves a mover.

    ``ACCEPTED``: a peer has connected to the listener. ``PAUSE`` and
    ``HALT``: the mover itself stops. The others are requests that were
    granted.
    """

    LISTEN = "MOVER_LISTEN"
    CONNECT = "MOVER_CONNECT"
    ACCEPTED = "peer connected"
    PAUSE = "paused by itself"
    CONTINUE = "MOVER_CONTINUE"
    CLOSE = "MOVER_CLOSE"
    ABORT = "MOVER_ABORT"
    HALT = "ended by itself"
    STOP = "MOVER_STOP"


S, E = MoverState, MoverEvent

# MOVER_CLOSE of a mover that has just halted by itself is no error: a client
# cannot know how a race between its request and the post will end.
TRANSITIONS: Final[Mapping[MoverState, Mapping[MoverEvent, MoverState]]] = {
    S.IDLE:   {E.LISTEN: S.LISTEN, E.CONNECT: S.ACTIVE},
    S.LISTEN: {E.ACCEPTED: S.ACTIVE, E.CLOSE: S.HALTED, E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.ACTIVE: {E.PAUSE: S.PAUSED, E.CLOSE: S.HALTED, E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.PAUSED: {E.CONTINUE: S.ACTIVE, E.CLOSE: S.HALTED, E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.HALTED: {E.CLOSE: S.HALTED, E.STOP: S.IDLE},
}  # fmt: skip
