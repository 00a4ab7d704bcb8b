"""Coupled moves over a LOCAL connection, from the joint table."""

from __future__ import annotations

import itertools

import pytest

from tapekit.machine import Machine
from tapekit_ndmp_v4 import data_state, mover_state
from tapekit_ndmp_v4.data_state import DataEvent
from tapekit_ndmp_v4.joint_state import JOINT, settle
from tapekit_ndmp_v4.mover_state import MoverEvent
from tapekit_ndmp_v4.numbers import DataState, MoverState

D, M = DataState, MoverState

PAIRS = list(itertools.product(D, M))


def pair(
    data: DataState, mover: MoverState
) -> tuple[Machine[DataState, DataEvent], Machine[MoverState, MoverEvent]]:
    return (
        Machine("data", data_state.TRANSITIONS, data),
        Machine("mover", mover_state.TRANSITIONS, mover),
    )


@pytest.mark.parametrize(("data_at", "mover_at"), PAIRS)
def test_a_pair_settles_in_one_step(data_at: DataState, mover_at: MoverState) -> None:
    data, mover = pair(data_at, mover_at)
    event = settle(data, mover)
    assert event is JOINT.get((data_at, mover_at))
    moved = (data.state is not data_at) + (mover.state is not mover_at)
    assert moved == (event is not None)
    assert settle(data, mover) is None


def test_who_connects_makes_the_listener_connected() -> None:
    data, mover = pair(D.IDLE, M.LISTEN)
    data.fire(DataEvent.CONNECT)
    assert settle(data, mover) is MoverEvent.ACCEPTED
    assert (data.state, mover.state) == (D.CONNECTED, M.ACTIVE)
    data, mover = pair(D.LISTEN, M.IDLE)
    mover.fire(MoverEvent.CONNECT)
    assert settle(data, mover) is DataEvent.ACCEPTED
    assert (data.state, mover.state) == (D.CONNECTED, M.ACTIVE)


@pytest.mark.parametrize("event", [MoverEvent.ABORT, MoverEvent.CLOSE, MoverEvent.HALT])
def test_a_data_server_without_a_job_hears_of_the_movers_end(event: MoverEvent) -> None:
    data, mover = pair(D.CONNECTED, M.ACTIVE)
    mover.fire(event)
    assert settle(data, mover) is DataEvent.HALT
    assert (data.state, mover.state) == (D.HALTED, M.HALTED)


def test_a_running_job_notices_by_itself() -> None:
    data, mover = pair(D.ACTIVE, M.ACTIVE)
    mover.fire(MoverEvent.ABORT)
    assert settle(data, mover) is None
    assert data.state is D.ACTIVE
