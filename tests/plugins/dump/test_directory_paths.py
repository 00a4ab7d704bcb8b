"""Paths of directories from the order of a walk."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import LONGEST_PATH
from tapekit_dump.directory_paths import DirectoryPaths
from tapekit_dump.spool import Pending, SpoolRoom

ROOM = SpoolRoom(None, 65536)
names = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name))


def walked(steps: list[tuple[int, bytes]]) -> list[tuple[Pending, bytes]]:
    """Directories as a walk meets them, with their paths: each step goes up
    by some levels and then down by one.
    """
    found, way = [(Pending(0, 2, 2, b""), b"/")], list[bytes]()
    for number, (rise, name) in enumerate(steps, 3):
        del way[max(0, len(way) - rise) :]
        way.append(name)
        found.append((Pending(len(way), number, 0, name), b"/%b/" % b"/".join(way)))
    return found


@given(st.lists(st.tuples(st.integers(0, 3), names), max_size=60), st.integers(1, 4))
def test_paths_are_found_in_order_also_with_some_left_out(
    steps: list[tuple[int, bytes]], every: int
) -> None:
    expected = walked(steps)
    with closing(DirectoryPaths(ROOM)) as paths:
        early = paths.reader()
        for item, _ in expected:
            paths.visited(item)
        for reader in (early, paths.reader()):
            for item, path in expected[::every]:
                assert reader.find(item.number) == path


def test_many_directories_are_read_in_pieces() -> None:
    expected = walked([(number > 60, b"%0200d" % number) for number in range(5000)])
    with closing(DirectoryPaths(ROOM)) as paths:
        for item, _ in expected:
            paths.visited(item)
        reader = paths.reader()
        found = [reader.find(item.number) for item, _ in expected]
    short = [path if len(path) <= LONGEST_PATH else None for _, path in expected]
    assert found == short
    assert None in found


def test_a_directory_that_was_not_visited_is_a_defect() -> None:
    with closing(DirectoryPaths(ROOM)) as paths:
        paths.visited(Pending(0, 2, 2, b""))
        with pytest.raises(AssertionError, match="directory 7 was not visited"):
            paths.reader().find(7)
