from __future__ import annotations

import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tapekit.kernel.load_order import load_order, sorted_by_requirement

FILE = Path("/etc/tapekit.toml")


def order_of(**requires: tuple[str, ...]) -> list[str]:
    order, errors = load_order(FILE, requires, requires)
    assert not errors
    return list(order)


def test_requirements_come_first() -> None:
    assert order_of(cab=("ndmp_v4", "cluster"), cluster=("volumes",), volumes=(), ndmp_v4=()) == [
        "volumes",
        "cluster",
        "ndmp_v4",
        "cab",
    ]


def test_the_order_of_the_file_counts_otherwise() -> None:
    assert order_of(c=(), a=(), b=()) == ["c", "a", "b"]


def test_all_missing_requirements_are_told_with_one_line_for_all() -> None:
    _, errors = load_order(
        FILE,
        {"vtape": ("tape_devices",), "snap_copy": ("volumes", "magic")},
        {"tape_devices", "volumes", "vtape", "snap_copy"},
    )
    assert [str(error).removeprefix(f"{FILE}: plugins: ") for error in errors] == [
        '"vtape" needs "tape_devices", which is not in the list',
        '"snap_copy" needs "volumes", which is not in the list',
        '"snap_copy" needs "magic", which is not installed',
    ]
    line = 'plugins = ["tape_devices", "volumes", "vtape", "snap_copy"]'
    assert line in errors[0].explained
    assert line in errors[1].explained


def test_every_circle_is_told() -> None:
    _, errors = load_order(
        FILE, {"a": ("b",), "b": ("a",), "c": ("c",), "d": ()}, ("a", "b", "c", "d")
    )
    assert [error.id for error in errors] == ["core.requirement-cycle"] * 2
    told = {str(error).rpartition(": ")[2] for error in errors}
    assert told & {"a > b > a", "b > a > b"}
    assert "c > c" in told


GRAPHS = st.integers(0, 8).flatmap(
    lambda size: st.fixed_dictionaries(
        {
            f"p{i}": st.lists(st.sampled_from([f"p{j}" for j in range(size)]), max_size=3).map(
                tuple
            )
            for i in range(size)
        }
    )
)


@given(GRAPHS)
def test_any_graph_is_sorted_or_has_circles(graph: dict[str, tuple[str, ...]]) -> None:
    order, cycles = sorted_by_requirement(graph)
    assert sorted(order) == sorted(graph)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(one in graph[other] for one, other in itertools.pairwise(cycle))
    if not cycles:
        for name, needed in graph.items():
            assert all(order.index(other) < order.index(name) for other in needed)
