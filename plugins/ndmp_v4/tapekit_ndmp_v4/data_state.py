"""The states of the data server, as a table (NDMP v4, DATA interface).

Requests and the server's own news are events alike; an event that a state
has no row for is an illegal request or a late piece of news, and changes
nothing. Reasons of a halt are data beside the state, not states.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4.numbers import DataState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TRANSITIONS", "DataEvent"]


class DataEvent(enum.Enum):
    """What moves a data server.

    ``ACCEPTED``: a peer has connected to the listener. ``HALT``: the server
    itself ends, well or badly. The others are requests that were granted.
    """

    LISTEN = "DATA_LISTEN"
    CONNECT = "DATA_CONNECT"
    ACCEPTED = "peer connected"
    START = "DATA_START_*"
    ABORT = "DATA_ABORT"
    HALT = "ended by itself"
    STOP = "DATA_STOP"


S, E = DataState, DataEvent

TRANSITIONS: Final[Mapping[DataState, Mapping[DataEvent, DataState]]] = {
    S.IDLE:      {E.LISTEN: S.LISTEN, E.CONNECT: S.CONNECTED},
    S.LISTEN:    {E.ACCEPTED: S.CONNECTED, E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.CONNECTED: {E.START: S.ACTIVE, E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.ACTIVE:    {E.ABORT: S.HALTED, E.HALT: S.HALTED},
    S.HALTED:    {E.STOP: S.IDLE},
}  # fmt: skip
