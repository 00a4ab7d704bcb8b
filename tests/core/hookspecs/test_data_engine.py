"""Node entries in tables."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import NodeEntry, NodeTable

numbers = st.integers(-(2**63), 2**63 - 1)
entries = st.lists(st.builds(NodeEntry, *[numbers] * 10), max_size=20)


@given(entries, st.integers(-25, 25), st.slices(20))
def test_a_table_is_a_sequence_of_its_entries(
    expected: list[NodeEntry], index: int, part: slice
) -> None:
    table = NodeTable.of(expected)
    assert (len(table), list(table)) == (len(expected), expected)
    assert list(table[part]) == expected[part]
    if -len(expected) <= index < len(expected):
        assert table[index] == expected[index]
    else:
        with pytest.raises(IndexError):
            table[index]


@given(entries)
def test_columns_are_fields(expected: list[NodeEntry]) -> None:
    table = NodeTable.of(expected)
    for field, name in enumerate(NodeEntry._fields):
        assert table.column(field).tolist() == [getattr(entry, name) for entry in expected]


def test_a_table_is_what_its_numbers_are() -> None:
    count = array("q", range(3 * NodeTable.WIDTH))
    first, second = next(iter(pairwise(NodeTable(count))))
    assert (first.node, first.position, second.node) == (0, 9, 10)


def test_numbers_of_more_than_63_bits_have_no_place() -> None:
    with pytest.raises(OverflowError):
        NodeTable.of([NodeEntry(2**63, 0, 0, 0, 0, 0, 0, 0, 0, 0)])
