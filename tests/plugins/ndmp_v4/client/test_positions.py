"""Paths, nodes and positions put together from file history."""

from __future__ import annotations

import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import Positions
from tapekit_ndmp_v4.numbers import UNLIMITED


def directory_post(*entries: tuple[str, int, int]) -> m.FhAddDirPost:
    return m.FhAddDirPost(
        dirs=tuple(
            m.FhDir(names=(m.UnixFileName(unix_name=name),), node=node, parent=parent)
            for name, node, parent in entries
        )
    )


def node_post(*nodes: tuple[int, int]) -> m.FhAddNodePost:
    return m.FhAddNodePost(
        nodes=tuple(m.FhNode(stats=(), node=node, fh_info=position) for node, position in nodes)
    )


@pytest.fixture
def positions() -> Positions:
    found = Positions()
    found.add(directory_post((".", 2, 2), ("..", 2, 2), ("dir", 4, 2), ("file", 5, 2)))
    found.add(directory_post((".", 4, 4), ("..", 2, 4), ("inner", 7, 4), ("file", 5, 4)))
    found.add(node_post((2, 3072), (4, 4096), (5, 9000)))
    found.add(m.NotifyDataReadPost(offset=0, length=0))
    return found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("file", (5, 9000)),
        ("/dir/file/", (5, 9000)),
        ("dir", (4, 4096)),
        ("", (2, 3072)),
        ("dir/inner", (7, UNLIMITED)),
        ("dir/none", None),
        ("file/below", None),
    ],
)
def test_paths_lead_to_nodes_and_positions(
    positions: Positions, path: str, found: tuple[int, int] | None
) -> None:
    assert positions.find(path) == found


def test_an_entry_of_a_restore_list(positions: Positions) -> None:
    assert positions.name("dir/file", "/vs1/vol1/back") == m.Name(
        original_path="dir/file", destination_path="/vs1/vol1/back", node=5, fh_info=9000
    )
    with pytest.raises(KeyError, match="none"):
        positions.name("none", "/vs1/vol1/back")


def test_history_by_paths() -> None:
    positions = Positions()
    names = (m.UnixFileName(unix_name="/a/b"),)
    positions.add(m.FhAddFilePost(files=(m.FhFile(names=names, stats=(), node=9, fh_info=77),)))
    assert positions.find("a/b") == (9, 77)


def test_without_history_nothing_is_known() -> None:
    assert Positions().find("a") is None
    assert Positions().find("") is None
