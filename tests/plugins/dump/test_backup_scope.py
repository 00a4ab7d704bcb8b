"""Names left out, and subtrees taken."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.environment import BadEnvironment
from tapekit_dump.backup_scope import EXCLUDED_AT_MOST, parse_excluded, parse_subtrees


@pytest.mark.requirement("R135")
@pytest.mark.requirement("R159")
@pytest.mark.parametrize(
    ("text", "names", "others"),
    [
        ("core", ["core"], ["core.1", "score", "Core"]),
        ("*.o", [".o", "a.o"], ["a.oo", "o"]),
        ("tmp*", ["tmp", "tmp1"], ["atmp"]),
        ("*cache*", ["cache", "a cache b", "new\ncache"], ["cach"]),
        ("*", ["anything", ".x"], []),
        ("a,b", ["a", "b"], ["a,b", "ab"]),
        (r"a\,b,c", ["a,b", "c"], ["a", "b", "a\\,b"]),
        ("a.c,[x]", ["a.c", "[x]"], ["abc", "x"]),
        (" a", [" a"], ["a"]),
        ("\udcff*", ["\udcff1"], ["\udcfe"]),
        (",a,,", ["a"], [""]),
    ],
)
def test_names_are_exact_but_for_asterisks(text: str, names: list[str], others: list[str]) -> None:
    pattern = parse_excluded(text)
    assert pattern is not None
    assert [name for name in (*names, *others) if pattern.fullmatch(name)] == names


def test_no_names_leave_nothing_out() -> None:
    assert parse_excluded("") is None
    assert parse_excluded(",") is None


@pytest.mark.requirement("R159")
def test_names_are_limited() -> None:
    names = [f"name{number}" for number in range(EXCLUDED_AT_MOST + 1)]
    assert parse_excluded(",".join(names[:-1])) is not None
    with pytest.raises(BadEnvironment, match="EXCLUDE lists 33 names; up to 32") as refused:
        parse_excluded(",".join(names))
    assert refused.value.id == "dump.too-many-excluded"


@pytest.mark.requirement("R159")
@pytest.mark.parametrize("text", ["a*b", "**a*b*", "dir/file", "ok,/x"])
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(BadEnvironment, match="EXCLUDE names") as refused:
        parse_excluded(text)
    assert refused.value.id == "dump.bad-excluded-name"


@pytest.mark.requirement("R009")
@pytest.mark.requirement("R135")
@pytest.mark.parametrize("level", ["0", "1"])
def test_excluded_names_are_left_out_wherever_they_stand(epochs: Any, level: str) -> None:
    if level == "1":
        epochs.back_up()
    for path in ("keep/core", "keep/core.c", "core/below", "keep/cores/file"):
        (epochs.volume / path).parent.mkdir(parents=True, exist_ok=True)
        (epochs.volume / path).touch()
    backup = epochs.back_up(("EXCLUDE", "core,*.c"), ("LEVEL", level))
    assert set(backup.paths) == {b"", b"keep", b"keep/cores", b"keep/cores/file"}
    assert backup.warnings == []


def test_a_bad_list_is_refused_before_a_tree_is_opened(site: Any) -> None:
    with pytest.raises(TapekitError, match="EXCLUDE names a"):
        site.back_up(("EXCLUDE", "a*b"))
    assert site.storage.trees == []


@pytest.mark.requirement("R145")
@pytest.mark.requirement("R166")
@pytest.mark.parametrize(
    ("text", "root", "names"),
    [
        ("a\nb/c\n/vs1/vol1\0", "/vs1/vol1", ("a", "b/c")),
        ("a\n/vs1/vol1/top", "/vs1/vol1/top", ("a",)),
        ("a/\nb\ntop/\n", "/vs1/vol1/top", ("a", "b")),
        ("a\n.", "/vs1/vol1", ("a",)),
    ],
)
def test_subtrees_are_relative_to_the_last_element(
    text: str, root: str, names: tuple[str, ...]
) -> None:
    subtrees = parse_subtrees(text, "/vs1/vol1")
    assert (subtrees.root, subtrees.names) == (root, names)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "\n/vs1/vol1",
        "a\n/vs1/vol2",
        "/a\n.",
        "../a\n.",
        "a//b\n.",
        "a\n../x",
        "a\n/vs1/vol1/..",
    ],
)
def test_subtrees_that_lead_elsewhere_are_refused(text: str) -> None:
    with pytest.raises(BadEnvironment) as refused:
        parse_subtrees(text, "/vs1/vol1")
    assert refused.value.id == "dump.bad-subtree"


@pytest.mark.requirement("R132")
@pytest.mark.requirement("R166")
def test_subtrees_need_a_name(site: Any) -> None:
    with pytest.raises(BadEnvironment, match="DMP_NAME is not") as refused:
        site.back_up(("MULTI_SUBTREE_NAMES", "a\n."))
    assert refused.value.id == "dump.dump-name-missing"


@pytest.mark.requirement("R145")
def test_only_the_subtrees_are_backed_up_level_by_level(epochs: Any) -> None:
    for path in ("top/a/file", "top/a/more/file", "top/b/c/file", "top/b/d/file", "top/e", "f"):
        (epochs.volume / path).parent.mkdir(parents=True, exist_ok=True)
        (epochs.volume / path).touch()
    variables = (
        ("MULTI_SUBTREE_NAMES", "a\na/more\nb/c\n/vs1/vol1/top\0"),
        ("DMP_NAME", "parts"),
    )
    full = epochs.back_up(*variables)
    assert set(full.paths) == {
        b"", b"a", b"a/file", b"a/more", b"a/more/file", b"b", b"b/c", b"b/c/file",
    }  # fmt: skip
    for path in ("top/a/new", "top/b/c/new", "top/b/d/new", "top/new"):
        (epochs.volume / path).touch()
    level1 = epochs.back_up(*variables, ("LEVEL", "1"))
    assert level1.dumped == {b"", b"a", b"a/new", b"b", b"b/c", b"b/c/new"}


@pytest.mark.requirement("R145")
def test_a_subtree_may_be_a_file(epochs: Any) -> None:
    for path in ("top/a", "top/b", "c"):
        (epochs.volume / path).parent.mkdir(exist_ok=True)
        (epochs.volume / path).touch()
    variables = (("MULTI_SUBTREE_NAMES", "a\n/vs1/vol1/top"), ("DMP_NAME", "one"))
    assert set(epochs.back_up(*variables).paths) == {b"", b"a"}
