from __future__ import annotations

import json
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from tapekit.hookspecs import hookspec
from tapekit.kernel import Available

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    Tapekit = Callable[..., Any]
    MakePlugin = Callable[..., Any]
    WriteStack = Callable[[str], Path]


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=9)]
    """How large [in metres] it is."""
    colour: str = "red"


def broken(name: str) -> Available:
    def fail() -> object:
        raise ImportError("no libtape")

    return Available(name, "three 3.0", "three", fail)


def cells(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell]


class TestPlugins:
    def test_each_plugin_is_a_row(
        self, tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
    ) -> None:
        stack_file('plugins = ["base"]\n')
        needy = plugin(
            "needy",
            requires=("base",),
            tapekit_run=lambda self, kernel: None,
            tapekit_on_event=lambda self, event: None,
        )
        outcome = tapekit("plugins", plugins=(plugin("base"), needy))
        assert outcome.status == 0
        heading, base, second = (line.split("  ") for line in outcome.out.splitlines())
        assert [cell.strip() for cell in heading if cell] == [
            "name",
            "enabled",
            "requires",
            "hooks",
            "origin",
        ]
        assert [cell.strip() for cell in base if cell] == ["base", "yes", "-", "-", "tests 1.0"]
        assert [cell.strip() for cell in second if cell] == [
            "needy",
            "no",
            "base",
            "tapekit_on_event, tapekit_run",
            "tests 1.0",
        ]

    def test_without_a_stack_nothing_is_known_to_be_enabled(
        self, tapekit: Tapekit, plugin: MakePlugin
    ) -> None:
        (row,) = json.loads(tapekit("plugins", "--json", plugins=(plugin("a"),)).out)
        assert row == {
            "name": "a",
            "summary": "The plugin a",
            "enabled": None,
            "requires": [],
            "hooks": [],
            "origin": "tests 1.0",
            "problem": None,
        }

    def test_the_stack_may_be_named(
        self, tapekit: Tapekit, plugin: MakePlugin, tmp_path: Path
    ) -> None:
        (tmp_path / "other.toml").write_text('plugins = ["a"]\n')
        for arguments, environment in (
            (("--stack", "other.toml"), {}),
            ((), {"TAPEKIT_STACK": "other.toml"}),
        ):
            outcome = tapekit(
                "plugins", "--json", *arguments, plugins=(plugin("a"),), environment=environment
            )
            assert json.loads(outcome.out)[0]["enabled"] is True

    def test_a_plugin_that_cannot_be_used_is_a_row_that_says_so(
        self, tapekit: Tapekit, plugin: MakePlugin
    ) -> None:
        outcome = tapekit("plugins", plugins=(broken("bad"), plugin("good")))
        assert outcome.status == 0
        assert "cannot be used" in outcome.out.splitlines()[1]
        assert "no libtape" in outcome.out.splitlines()[1]

    def test_a_wrong_stack_file_is_told_after_the_listing(
        self, tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
    ) -> None:
        stack_file('plugins = ["a", "b"]\n')
        outcome = tapekit("plugins", plugins=(plugin("a"),))
        assert outcome.status == 2
        assert len(outcome.out.splitlines()) == 2
        assert 'no plugin "b" is installed' in outcome.err

    def test_a_long_row_is_one_line(self, tapekit: Tapekit, plugin: MakePlugin) -> None:
        names = tuple(f"requirement_{i}" for i in range(100))
        outcome = tapekit("plugins", plugins=(plugin("a", requires=names),))
        assert len(outcome.out.splitlines()) == 2
        assert ", ".join(names) in outcome.out


class TestSettings:
    def test_each_setting_is_a_row_with_its_help(
        self, tapekit: Tapekit, plugin: MakePlugin
    ) -> None:
        outcome = tapekit("settings", "a", plugins=(plugin("a", requires=("b",), settings=Sizes),))
        assert outcome.status == 0
        lines = outcome.out.splitlines()
        assert lines[:3] == ["a: The plugin a", "requires: b", "settings, in the table [a]:"]
        assert [cell.strip() for cell in cells(lines[4])] == [
            "size",
            "a whole number from 1 to 9",
            "must be given",
            "How large [in metres] it is.",
        ]

    def test_settings_as_json(self, tapekit: Tapekit, plugin: MakePlugin) -> None:
        outcome = tapekit("settings", "a", "--json", plugins=(plugin("a", settings=Sizes),))
        found = json.loads(outcome.out)
        assert (found["plugin"], found["requires"]) == ("a", [])
        assert found["settings"][1] == {
            "key": "colour",
            "type": "text",
            "default": '"red"',
            "help": "",
        }

    def test_a_plugin_without_settings_says_so(self, tapekit: Tapekit, plugin: MakePlugin) -> None:
        outcome = tapekit("settings", "a", plugins=(plugin("a"),))
        assert outcome.out.splitlines()[1:] == ["requires: nothing", "settings: none"]

    def test_an_unknown_plugin_gets_the_likeliest_correction(
        self, tapekit: Tapekit, plugin: MakePlugin
    ) -> None:
        outcome = tapekit("settings", "vtap", plugins=(plugin("vtape"),))
        assert outcome.status == 2
        assert 'no plugin "vtap" is installed' in outcome.err
        assert "similar: vtape" in outcome.err


class TestExplain:
    def test_an_error_of_core(self, tapekit: Tapekit) -> None:
        outcome = tapekit("explain", "core.plugin-twice")
        assert outcome.status == 0
        message, _, cause, _, action = outcome.out.splitlines()
        assert message == 'core.plugin-twice: {file}: plugins: "{plugin}" is named {count} times'
        assert cause == "Cause: A stack has each plugin once."
        assert action == 'Action: Leave "{plugin}" in the list once.'

    def test_an_error_as_json(self, tapekit: Tapekit) -> None:
        row = json.loads(tapekit("explain", "--json", "core.plugin-twice").out)
        assert set(row) == {"id", "message", "cause", "action"}

    def test_all_errors(self, tapekit: Tapekit) -> None:
        outcome = tapekit("explain")
        assert any(line.startswith("core.plugin-twice ") for line in outcome.out.splitlines())
        rows = json.loads(tapekit("explain", "--json").out)
        assert len(rows) == len(outcome.out.splitlines()) - 1

    def test_a_plugins_errors_are_read_without_importing_it(
        self, tapekit: Tapekit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        package = tmp_path / "explained_sail"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "errors.toml").write_text(
            '[torn]\nmessage = "torn"\ncause = "wind"\naction = "mend"\n'
        )
        sail = Available("sail", "ship 1.5", "explained_sail", broken("sail").load)
        outcome = tapekit("explain", "sail.torn", plugins=(sail,))
        assert outcome.out == "sail.torn: torn\n\nCause: wind\n\nAction: mend\n"

    def test_a_damaged_catalogue_does_not_hide_the_others(
        self, tapekit: Tapekit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        package = tmp_path / "explained_oar"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "errors.toml").write_text("[broken\n")
        oar = Available("oar", "ship 1.5", "explained_oar", object)
        outcome = tapekit("explain", "core.plugin-twice", plugins=(oar,))
        assert outcome.status == 0
        assert "named {count} times" in outcome.out
        assert 'the errors of plugin "oar" (ship 1.5) cannot be read' in outcome.err

    def test_an_unknown_error_gets_the_likeliest_correction(self, tapekit: Tapekit) -> None:
        outcome = tapekit("explain", "core.plugin-twise")
        assert outcome.status == 2
        assert "similar: core.plugin-twice" in outcome.err


class TestHooks:
    def test_each_hook_is_a_row(self, tapekit: Tapekit, plugin: MakePlugin) -> None:
        hearing = plugin("a", tapekit_on_event=lambda self, event: None)
        outcome = tapekit("hooks", plugins=(hearing,))
        assert outcome.status == 0
        (line,) = (row for row in outcome.out.splitlines() if row.startswith("tapekit_on_event"))
        assert [cell.strip() for cell in cells(line)] == [
            "tapekit_on_event",
            "events",
            "a",
            "Hear of an event.",
        ]

    def test_hooks_of_plugins_are_listed_under_their_names(
        self, tapekit: Tapekit, plugin: MakePlugin
    ) -> None:
        def tapekit_trim(wind: int) -> None:
            """Trim the sails. Called at every tack.

            More words.
            """

        module = ModuleType("sail_hooks")
        vars(module)["tapekit_trim"] = hookspec(tapekit_trim)
        owner = plugin("sail", attributes={"hookspecs": module})
        crew = plugin("crew", tapekit_trim=lambda self: None)
        rows = json.loads(tapekit("hooks", "--json", plugins=(owner, crew)).out)
        assert rows[-1] == {
            "name": "tapekit_trim",
            "subject": "sail",
            "implemented_by": ["crew"],
            "summary": "Trim the sails.",
        }

    def test_a_plugin_that_cannot_be_used_is_told(self, tapekit: Tapekit) -> None:
        outcome = tapekit("hooks", plugins=(broken("bad"),))
        assert outcome.status == 0
        assert "no libtape" in outcome.err


class TestCheck:
    def test_a_good_stack_is_ok(
        self, tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
    ) -> None:
        stack_file('plugins = ["a"]\n')
        outcome = tapekit("check", plugins=(plugin("a"),))
        assert (outcome.status, outcome.out) == (0, "ok\n")

    def test_all_errors_are_told(
        self, tapekit: Tapekit, plugin: MakePlugin, stack_file: WriteStack
    ) -> None:
        file = stack_file('plugins = ["a", "b"]\n[a]\nsize = 10\n')
        outcome = tapekit("check", str(file), plugins=(plugin("a", settings=Sizes),))
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err.count("error: ") == 2
        assert f"{file}: a.size: 10 is not allowed here" in outcome.err
        assert "Set a.size to a whole number from 1 to 9" in outcome.err
