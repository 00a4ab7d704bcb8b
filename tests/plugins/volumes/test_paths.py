from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_volumes.paths import VolumePath, is_copy_name, is_volume_name, parse_path

TEXTS = st.text(st.sampled_from("/.ab\0\n\udcff\ud800é-") | st.characters(), max_size=40)
PATHS = st.lists(st.sampled_from(["vs1", "vol1", ".snapshot", "..", ".", "", "a b"]) | TEXTS).map(
    "/".join
)


def parsed(text: str) -> VolumePath | None:
    try:
        return parse_path(text)
    except TapekitError:
        return None


def refusal(text: str) -> str:
    with pytest.raises(TapekitError) as caught:
        parse_path(text)
    str(caught.value).encode()
    return caught.value.id


@pytest.mark.requirement("R119")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/vs1/vol1", VolumePath("/vs1/vol1", None, ())),
        ("/vs1/vol1/", VolumePath("/vs1/vol1", None, ())),
        ("//vs1//vol1/./a//b/", VolumePath("/vs1/vol1", None, (b"a", b"b"))),
        ("/vs1/vol1/new\nline/-x", VolumePath("/vs1/vol1", None, (b"new\nline", b"-x"))),
        ("/vs1/vol1/f\udcff", VolumePath("/vs1/vol1", None, (b"f\xff",))),
        ("/vs1/vol1/.snapshot/hourly.0", VolumePath("/vs1/vol1", "hourly.0", ())),
        ("/vs1/vol1/.snapshot/one/a/b", VolumePath("/vs1/vol1", "one", (b"a", b"b"))),
        ("/vs1/vol1/a/.snapshot/b", VolumePath("/vs1/vol1", None, (b"a", b".snapshot", b"b"))),
    ],
)
def test_paths_are_taken_apart(text: str, expected: VolumePath) -> None:
    assert parse_path(text) == expected


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("", "volumes.bad-path"),
        ("/", "volumes.bad-path"),
        ("/vs1", "volumes.bad-path"),
        ("vs1/vol1", "volumes.bad-path"),
        ("/vs 1/vol1", "volumes.bad-path"),
        ("/../vol1/a", "volumes.bad-path"),
        ("/vs1/.snapshot/a", "volumes.bad-path"),
        ("/vs1/vol1/a\0b", "volumes.bad-path"),
        ("/vs1/vol1/\ud800", "volumes.bad-path"),
        ("/vs1/vol1/../vol2", "volumes.path-climbs"),
        ("/vs1/vol1/a/..", "volumes.path-climbs"),
        ("/vs1/vol1/.snapshot/one/../two", "volumes.path-climbs"),
        ("/vs1/vol1/.snapshot", "volumes.no-copy-named"),
        ("/vs1/vol1/.snapshot/.locks", "volumes.no-copy-named"),
    ],
)
def test_other_texts_are_refused_by_row(text: str, row: str) -> None:
    assert refusal(text) == row


@given(PATHS | TEXTS)
def test_whatever_passes_leads_only_down(text: str) -> None:
    path = parsed(text)
    if path is None:
        assert refusal(text).startswith("volumes.")
        return
    assert is_volume_name(path.volume)
    assert path.snapshot is None or is_copy_name(path.snapshot)
    for part in path.parts:
        assert part not in {b"", b".", b".."}
        assert b"/" not in part
        assert b"\0" not in part
    copy = "" if path.snapshot is None else f"/.snapshot/{path.snapshot}"
    assert parse_path(f"{path.volume}{copy}/{path.subpath}") == path


def test_subpath_has_no_slashes_at_its_ends() -> None:
    assert parse_path("/vs1/vol1//a//b\udcff/").subpath == "a/b\udcff"
    assert parse_path("/vs1/vol1/").subpath == ""


@pytest.mark.parametrize("name", ["", ".a", "a/b", "-a", "a b", "é", "a" * 204, "a\n"])
def test_odd_names_are_no_names(name: str) -> None:
    assert not is_copy_name(name)
    assert not is_volume_name(f"/vs1/{name}")
