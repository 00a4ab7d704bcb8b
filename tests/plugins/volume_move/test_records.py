"""What a move can become, and how it is remembered."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.machine import IllegalTransition
from tapekit_volume_move.records import STEPS, CutoverAction, Move, MoveLedger, Phase, Step


@pytest.fixture
def move() -> Move:
    return Move(
        id="0" * 32,
        volume="/vs1/vol1",
        aggregate="aggr2",
        arriving="/vs1/vol1.incoming",
        window_s=30,
        action=CutoverAction.DEFER,
        began_s=1000.0,
    )


def test_what_is_over_stays_so_and_what_is_on_can_always_be_ended() -> None:
    ends = {Step.COMPLETE, Step.FAIL, Step.ABORT, Step.INTERRUPT}
    assert set(STEPS) == set(Phase)
    for phase, steps in STEPS.items():
        if phase.is_on:
            assert ends <= set(steps)
        else:
            assert all(not after.is_on for after in steps.values())


def test_a_step_that_is_not_possible_is_a_defect(move: Move) -> None:
    done = move.after(Step.COMPLETE, left="/srv/old")
    assert (done.phase, done.left) == (Phase.COMPLETED, "/srv/old")
    with pytest.raises(IllegalTransition):
        done.after(Step.CUT_OVER)


def test_each_volume_has_its_last_move(move: Move) -> None:
    store = MemoryStateStore()
    ledger = MoveLedger(store)
    assert ledger.find(move.volume) is None
    ledger.write(move)
    failed = ledger.write(move.after(Step.FAIL, reason="why"))
    assert list(ledger.every()) == [failed]
    store.change("volume_move.moves", {move.volume: b"nonsense"})
    with pytest.raises(TapekitError, match="What is remembered of the move of /vs1/vol1"):
        ledger.find(move.volume)
