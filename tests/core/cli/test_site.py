from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.errors import CORE
from tapekit.hookspecs.lifecycle import InitPart, InitSite

if TYPE_CHECKING:
    from collections.abc import Callable

    Tapekit = Callable[..., Any]
    MakePlugin = Callable[..., Any]


class Shelf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    directory: Path = Path("shelf")
    port: int = 0


def with_part(
    plugin: MakePlugin, name: str, part: InitPart | Exception | None, **options: Any
) -> Any:
    """A plugin whose part of a new site is this one."""

    def init_part(cls: type, site: InitSite) -> InitPart | None:
        if isinstance(part, Exception):
            raise part
        return part

    return plugin(name, attributes={"init_part": classmethod(init_part)}, **options)


def read(tmp_path: Path) -> dict[str, Any]:
    return tomllib.loads((tmp_path / "site" / "tapekit.toml").read_text())


def test_the_parts_of_all_plugins_make_a_stack(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    shelf = with_part(
        plugin,
        "shelf",
        InitPart(
            settings='# Where things lie.\ndirectory = "things"\n',
            created=("things, a folder for things",),
            next_steps=("ls things",),
        ),
        requires=("floor",),
        settings=Shelf,
    )
    outcome = tapekit("init", "site", plugins=(shelf, plugin("floor"), plugin("attic")))
    assert outcome.status == 0, outcome.err
    assert read(tmp_path) == {"plugins": ["floor", "shelf"], "shelf": {"directory": "things"}}
    assert "# Where things lie." in (tmp_path / "site" / "tapekit.toml").read_text()
    stack = tmp_path / "site" / "tapekit.toml"
    assert outcome.out.splitlines() == [
        "created:",
        "  things, a folder for things",
        f"  {stack}",
        "next:",
        f"  tapekit serve {stack}",
        "  ls things",
    ]
    checked = tapekit("check", str(stack), plugins=(shelf, plugin("floor"), plugin("attic")))
    assert checked.out == "ok\n"


def test_plugins_learn_where_the_site_is(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    sites: list[InitSite] = []

    def init_part(cls: type, site: InitSite) -> InitPart:
        (site.directory / "made").touch(exist_ok=False)
        sites.append(site)
        return InitPart(settings=f"port = {site.port}")

    asked = plugin("asked", settings=Shelf, attributes={"init_part": classmethod(init_part)})
    tapekit("init", "site", "--port", "1234", "--host", "::1", plugins=(asked,))
    assert sites == [InitSite(tmp_path / "site", "::1", 1234)]
    assert (tmp_path / "site" / "made").exists()
    assert read(tmp_path)["asked"] == {"port": 1234}


def test_without_options_the_site_is_on_loopback(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    sites: list[InitSite] = []

    def init_part(cls: type, site: InitSite) -> None:
        sites.append(site)

    asked = plugin("asked", attributes={"init_part": classmethod(init_part)})
    assert tapekit("init", "site", plugins=(asked,)).status == 0
    assert (sites[0].host, sites[0].port) == ("127.0.0.1", 10000)
    assert read(tmp_path) == {"plugins": []}


def test_a_plugin_that_declines_is_left_out_unless_another_needs_it(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    needy = with_part(plugin, "needy", InitPart(), requires=("base",))
    base = with_part(plugin, "base", None)
    other = with_part(plugin, "other", None)
    tapekit("init", "site", plugins=(needy, base, other))
    assert read(tmp_path) == {"plugins": ["base", "needy"]}


def test_a_stack_file_is_never_overwritten(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "tapekit.toml").write_text("mine")
    unwanted = with_part(plugin, "a", AssertionError("asked"))
    outcome = tapekit("init", "site", plugins=(unwanted,))
    assert outcome.status == 1
    assert "site/tapekit.toml exists and will not be overwritten" in outcome.err
    assert (tmp_path / "site" / "tapekit.toml").read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    def init_part(cls: type, site: InitSite) -> InitPart:
        (site.directory / "tapekit.toml").write_text("theirs")
        return InitPart()

    racer = plugin("racer", attributes={"init_part": classmethod(init_part)})
    assert tapekit("init", "site", plugins=(racer,)).status == 1
    assert (tmp_path / "site" / "tapekit.toml").read_text() == "theirs"


def test_a_folder_that_cannot_be_made_is_told(tapekit: Tapekit, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = tapekit("init", "file/site")
    assert outcome.status == 1
    assert f"{tmp_path}/file/site: Not a directory" in outcome.err


def test_a_stack_file_that_cannot_be_written_is_told(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    def init_part(cls: type, site: InitSite) -> InitPart:
        site.directory.rmdir()
        return InitPart()

    vandal = plugin("vandal", attributes={"init_part": classmethod(init_part)})
    outcome = tapekit("init", "site", plugins=(vandal,))
    assert outcome.status == 1
    assert "site/tapekit.toml: No such file or directory" in outcome.err


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CORE.error("site-exists", file="password"), "password exists"),
        (OSError("disk full"), 'plugin "a" failed in init_part: OSError: disk full'),
    ],
)
def test_a_plugin_that_fails_stops_the_set_up(
    error: Exception, text: str, tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    outcome = tapekit("init", "site", plugins=(with_part(plugin, "a", error),))
    assert outcome.status == 1
    assert text in outcome.err
    assert not (tmp_path / "site" / "tapekit.toml").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [("port = ", "Invalid value"), ("[other]\nport = 3", "they define other")],
)
def test_a_part_that_is_not_the_plugins_table_is_refused(
    settings: str, reason: str, tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    outcome = tapekit("init", "site", plugins=(with_part(plugin, "a", InitPart(settings)),))
    assert outcome.status == 1
    assert reason in outcome.err
    assert "core.bad-init-part" in outcome.err


def test_parts_that_make_no_stack_leave_no_stack_file(
    tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
) -> None:
    part = with_part(plugin, "a", InitPart("prt = 3"), requires=("ghost",), settings=Shelf)
    outcome = tapekit("init", "site", plugins=(part,))
    assert outcome.status == 2
    assert 'needs "ghost", which is not installed' in outcome.err
    assert 'there is no setting "prt"' in outcome.err
    assert not (tmp_path / "site" / "tapekit.toml").exists()
