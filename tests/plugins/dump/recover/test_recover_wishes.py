"""What the environment of a restore says, and where it contradicts itself."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import Selection
from tapekit.hookspecs.environment import BadEnvironment, Environment
from tapekit_dump.recover_selection import plan_views
from tapekit_dump.recover_wishes import (
    Manner,
    Wishes,
    check_views,
    read_wishes,
    with_full_paths,
)
from tapekit_dump.variables import VARIABLES

DIRECT = {"DIRECT": "Y", "ENHANCED_DAR_ENABLED": "Y"}


def wishes(**variables: str) -> Wishes:
    return read_wishes(Environment(VARIABLES, tuple(variables.items())))


def entry(original: str, destination: str) -> Selection:
    return Selection(original, destination, "", "", 0, 0)


def test_without_variables_everything_is_as_in_the_guide() -> None:
    assert wishes() == Wishes(may_rename=False)


@pytest.mark.requirement("R129")
def test_offsets_of_the_backup_are_taken() -> None:
    read = wishes(ACL_START="1000", OFFSET_MAP_START="2048")
    assert (read.stream_bytes, read.map_at) == (1000, 2048)
    for name in ("ACL_START", "OFFSET_MAP_START"):
        with pytest.raises(BadEnvironment, match=f"{name}=here"):
            wishes(**{name: "here"})


@pytest.mark.parametrize("manner", [Manner.LIST, Manner.LIST_QTREES, Manner.NOWRITE])
def test_each_manner_has_a_variable(manner: Manner) -> None:
    assert wishes(**{manner.value: "Y"}).manner is manner
    assert wishes(**{manner.value: "N"}).manner is Manner.RESTORE


@pytest.mark.requirement("R137")
@pytest.mark.parametrize(
    ("variables", "with_acls"),
    [
        ({}, True),
        ({"DIRECT": "Y"}, False),
        ({"DIRECT": "Y", "EXTRACT_ACL": "Y"}, True),
        ({"EXTRACT_ACL": "N"}, False),
    ],
)
def test_acls_come_by_default_but_not_directly(variables: dict[str, str], with_acls: bool) -> None:
    assert wishes(**variables).with_acls is with_acls


@pytest.mark.requirement("R134")
def test_enhanced_direct_access_is_direct_access() -> None:
    assert wishes(**DIRECT).is_enhanced
    assert not wishes(ENHANCED_DAR_ENABLED="Y").is_enhanced


@pytest.mark.requirement("R136")
@pytest.mark.requirement("R261")
@pytest.mark.parametrize("extract", ["Y", "N"])
def test_another_name_needs_extract_e(extract: str) -> None:
    views = plan_views([entry("dir/file", "/vs1/vol1/dir/renamed")], None, None)
    with pytest.raises(TapekitError, match="dir/renamed: EXTRACT=") as refused:
        check_views(wishes(EXTRACT=extract), views)
    assert refused.value.facts["value"] == extract
    check_views(wishes(EXTRACT="E"), views)
    check_views(wishes(DIRECT="Y"), views)


@pytest.mark.requirement("R261")
@pytest.mark.parametrize(
    ("original", "destination"),
    [("dir/file", "/vs1/vol1/elsewhere/file"), ("/", "/vs1/vol2/any"), ("", "/vs1/vol2")],
)
def test_the_same_name_elsewhere_needs_nothing(original: str, destination: str) -> None:
    check_views(wishes(), plan_views([entry(original, destination)], None, None))


@pytest.mark.requirement("R162")
def test_paths_of_the_guide_lie_on_one_line() -> None:
    paths = ["foo", "foo/dir1/deepdir", "foo/dir1/deepdir/myfile"]
    asked = wishes(**DIRECT, RECURSIVE="N")
    views = plan_views([entry(path, f"/vs1/vol1/{path}") for path in paths], None, None)
    check_views(asked, views)
    assert not any(view.is_recursive for view in views)
    more = plan_views([entry(path, f"/vs1/vol1/{path}") for path in [*paths, "foo/dir2"]], "", "")
    with pytest.raises(TapekitError, match="/foo/dir2 does not lie on /foo/dir1/deepdir/myfile"):
        check_views(asked, more)


@pytest.mark.requirement("R151")
def test_full_paths_add_each_directory_on_the_way_once() -> None:
    paths = ["a/b/c", "a/b/d", "a"]
    views = plan_views([entry(path, f"/vs1/vol1/x/{path}") for path in paths], None, None)
    added = with_full_paths(views)[3:]
    assert [(view.source, view.target[2:]) for view in added] == [
        ((b"a", b"b"), (b"x", b"a", b"b"))
    ]
    assert all(view.only_if_new and not view.is_recursive for view in added)
    assert [view.number for view in added] == [3]
