"""In which order the plugins of a stack start: requirements first.

Where requirements leave the order open, the plugin that keeps the state comes
first, and then the stack file's order counts. The one rule: all missing
requirements and circles are told at once.
"""

from __future__ import annotations

import graphlib
import heapq
from typing import TYPE_CHECKING

from tapekit.errors import CORE, TapekitError
from tapekit.kernel.stack_file import plugins_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["load_order", "sorted_by_requirement"]


def load_order(
    file: Path,
    requires: Mapping[str, Sequence[str]],
    installed: Collection[str],
    *,
    first: Sequence[str] = (),
) -> tuple[Sequence[str], list[TapekitError]]:
    """Sort the plugins of a stack.

    :param requires: each enabled plugin's requirements, in the stack file's
        order.
    :param installed: names of the plugins that could be enabled.
    :param first: those that come before others, as far as requirements allow.
    :returns: the order, and what is wrong with it.
    """
    errors = list(_missing_requirements(file, requires, installed))
    order, cycles = sorted_by_requirement(
        {name: requires[name] for name in dict.fromkeys((*first, *requires))}
    )
    errors += [
        CORE.error("requirement-cycle", file=file, cycle=" > ".join(cycle)) for cycle in cycles
    ]
    return order, errors


def sorted_by_requirement(
    requires: Mapping[str, Sequence[str]],
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Sort names so that each comes after those it requires.

    :returns: the names in order, and the circles that had to be cut open.
    """
    graph = {
        name: {other for other in needed if other in requires} for name, needed in requires.items()
    }
    cycles = []
    while True:
        sorter = graphlib.TopologicalSorter(graph)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            cycle = error.args[1]
            cycles.append(cycle)
            # Each element of the circle is required by the next one.
            graph[cycle[1]].discard(cycle[0])
        else:
            return list(_stable(sorter, list(requires))), cycles


def _stable(sorter: graphlib.TopologicalSorter[str], order: list[str]) -> Iterator[str]:
    """Of the names that may come next, take the first of ``order``."""
    rank = {name: index for index, name in enumerate(order)}
    ready: list[int] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, rank[name])
        name = order[heapq.heappop(ready)]
        yield name
        sorter.done(name)


def _missing_requirements(
    file: Path, requires: Mapping[str, Sequence[str]], installed: Collection[str]
) -> Iterator[TapekitError]:
    missing = [
        (plugin, requirement)
        for plugin, needed in requires.items()
        for requirement in needed
        if requirement not in requires
    ]
    # One line that enables all of them, so that it has to be written once.
    to_add = dict.fromkeys(name for _, name in missing if name in installed)
    line = plugins_line([*to_add, *requires])
    for plugin, requirement in missing:
        if requirement in installed:
            yield CORE.error(
                "missing-requirement",
                file=file,
                plugin=plugin,
                requirement=requirement,
                line=line,
            )
        else:
            yield CORE.error(
                "requirement-not-installed", file=file, plugin=plugin, requirement=requirement
            )
