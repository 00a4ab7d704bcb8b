"""The diagrams in the README are those of the tables."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest

from tapekit_ndmp_v4 import data_state, mover_state, session_state
from tapekit_ndmp_v4.diagrams import state_diagram
from tapekit_ndmp_v4.numbers import DataState, MoverState
from tapekit_ndmp_v4.session_state import SessionState

README = Path(__file__).parents[3] / "plugins" / "ndmp_v4" / "README.md"


class Light(enum.Enum):
    RED = 0
    GREEN = 1


class Signal(enum.Enum):
    GO = "go"
    STOP = "stop"
    FAIL = "fail"


def test_a_diagram_joins_events_between_the_same_states() -> None:
    table = {
        Light.RED: {Signal.GO: Light.GREEN},
        Light.GREEN: {Signal.STOP: Light.RED, Signal.FAIL: Light.RED},
    }
    assert state_diagram(table, Light.RED) == (
        "stateDiagram-v2\n    [*] --> RED\n    RED --> GREEN: go\n    GREEN --> RED: stop, fail\n"
    )


@pytest.mark.parametrize(
    ("table", "initial"),
    [
        (session_state.TRANSITIONS, SessionState.GREETED),
        (data_state.TRANSITIONS, DataState.IDLE),
        (mover_state.TRANSITIONS, MoverState.IDLE),
    ],
    ids=["session", "data", "mover"],
)
def test_the_readme_has_the_diagram_of_the_table(table: Any, initial: enum.Enum) -> None:
    fence = f"```mermaid\n{state_diagram(table, initial)}```\n"
    assert fence in README.read_text("utf-8"), f"the README should have:\n{fence}"
