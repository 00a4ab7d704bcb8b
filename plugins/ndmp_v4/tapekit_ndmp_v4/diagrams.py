"""State diagrams out of transition tables, for documents.

The diagrams in this plugin's README are made here from the tables that the
server runs on, and a test keeps them so. Rows are drawn in the order of the
table; events that lead from one state to the same other share an arrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import enum
    from collections.abc import Mapping

__all__ = ["state_diagram"]

S = TypeVar("S", bound="enum.Enum")
E = TypeVar("E", bound="enum.Enum")


def state_diagram(table: Mapping[S, Mapping[E, S]], initial: S) -> str:
    """A table as a Mermaid state diagram, without the fence around it."""
    lines = ["stateDiagram-v2", f"    [*] --> {initial.name}"]
    for state, row in table.items():
        arrows: dict[S, list[str]] = {}
        for event, target in row.items():
            arrows.setdefault(target, []).append(str(event.value))
        lines += [
            f"    {state.name} --> {target.name}: {', '.join(events)}"
            for target, events in arrows.items()
        ]
    return "\n".join(lines) + "\n"
