"""Coupled moves of a data server and a mover that are joined LOCALly.

Over a LOCAL connection one end's request moves both machines: who connects
makes the listener connected at once. The joint table names, for a pair of
states that cannot last, the event that ends it. All other effects of one end
on the other travel through the connection itself, as with TCP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.mover_state import MoverEvent
from tapekit_ndmp_v4.numbers import DataState, MoverState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.machine import Machine

__all__ = ["JOINT", "JointEvent", "settle"]

D, M = DataState, MoverState

JointEvent: TypeAlias = DataEvent | MoverEvent

JOINT: Final[Mapping[tuple[DataState, MoverState], JointEvent]] = {
    (D.CONNECTED, M.LISTEN): MoverEvent.ACCEPTED,
    (D.LISTEN,    M.ACTIVE): DataEvent.ACCEPTED,
    # No thread works at the data end before DATA_START_*, so nobody there
    # would notice that the connection is gone.
    (D.CONNECTED, M.HALTED): DataEvent.HALT,
}  # fmt: skip


def settle(
    data: Machine[DataState, DataEvent], mover: Machine[MoverState, MoverEvent]
) -> JointEvent | None:
    """Move the machine that the other one's last move has coupled.

    :returns: the event that was fired, or ``None`` if the pair may last.
    """
    event = JOINT.get((data.state, mover.state))
    if isinstance(event, DataEvent):
        data.fire(event)
    elif event is not None:
        mover.fire(event)
    return event
