"""Restore lists, and where their entries lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult
from tapekit_dump.recover_selection import branches, join_path, plan_views, split_path

if TYPE_CHECKING:
    from collections.abc import Callable

    Select = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("/", ()),
        ("/.", ()),
        ("a", (b"a",)),
        ("/a/b", (b"a", b"b")),
        ("./a//b/.", (b"a", b"b")),
        ("a/../b", (b"a", b"..", b"b")),
        ("gr\u00fc\u00df/\udcff", ("gr\u00fc\u00df".encode(), b"\xff")),
    ],
)
def test_paths_are_components(text: str, parts: tuple[bytes, ...]) -> None:
    assert split_path(text) == parts
    assert split_path(join_path(parts)) == parts


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        (("x/y", "/v/w/z"), "/v/w/z"),
        (("x/y", "/v/w/z/"), "/v/w/z"),
        (("x/y", "/v/w", "new"), "/v/w/new"),
        (("x/y", "/v/w", "", "ALT"), "/v/w"),
        (("x/y", ""), "/p/q/r/x/y"),
        (("x/y", "", "new"), "/p/q/r/x/new"),
        (("", "/v/w/z"), "/v/w/z"),
        (("/", ""), "/p/q/r"),
    ],
)
def test_targets(select: Select, entry: tuple[str, ...], target: str) -> None:
    original, destination, *name = entry
    (view,) = plan_views([select(original, destination, *name[:1])], "/p/q/r", "/f/g")
    assert join_path(view.target) == target
    assert view.label == original


def test_an_empty_list_is_one_view_of_everything() -> None:
    (view,) = plan_views([], None, "/f/g")
    assert (view.source, view.target, view.label) == ((), (b"f", b"g"), None)


def test_prefix_wins_over_filesystem_and_one_must_be_there() -> None:
    assert plan_views([], "/p/q", "/f/g")[0].target == (b"p", b"q")
    with pytest.raises(TapekitError) as caught:
        plan_views([], None, None)
    assert caught.value.id == "dump.no-destination"


def test_the_directory_that_must_be_there(select: Select) -> None:
    views = plan_views(
        [select("", "/v/w/z"), select("a", "/v/w/z"), select("a", "/v/w")], None, None
    )
    assert [join_path(view.parent) for view in views] == ["/v/w/z", "/v/w", "/v/w"]
    assert {view.volume for view in views} == {(b"v", b"w")}


def test_nested_entries_are_one_family_only_where_they_go_together(select: Select) -> None:
    whole, inner, same, apart = plan_views(
        [
            select("a", "/v/w/x/a"),
            select("a/b", "/v/w/x/a/b"),
            select("a/b", "/v/w/x/a/b"),
            select("a/b", "/v/w/elsewhere"),
        ],
        None,
        None,
    )
    assert inner.family == same.family == whole.family == 0
    assert apart.family == 3
    inner.fail(FileResult.IO_ERROR)
    assert whole.failure is FileResult.IO_ERROR
    assert apart.failure is None


def test_a_parent_is_not_an_outer_view_if_it_goes_elsewhere(select: Select) -> None:
    whole, inner = plan_views([select("", "/v/w"), select("a/b", "/v/w/a/c")], None, None)
    assert inner.outer == []
    assert whole.family != inner.family


def test_results(select: Select) -> None:
    (view,) = plan_views([select("a", "/v/w/a")], None, None)
    assert view.result is FileResult.NOT_FOUND
    view.is_found = True
    assert view.result is FileResult.SUCCESSFUL
    view.fail(FileResult.FILE_PATH_EXISTS)
    view.fail(FileResult.IO_ERROR)
    assert view.result is FileResult.FILE_PATH_EXISTS


def test_branches_hold_the_tops_by_name(select: Select) -> None:
    views = plan_views([select("a/b", "/v/w/1"), select("a", "/v/w/2")], None, None)
    root = branches(views)
    assert root.views == []
    assert root.children[b"a"].views == [views[1]]
    assert root.children[b"a"].children[b"b"].views == [views[0]]
