from __future__ import annotations

import logging
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.errors import CORE
from tapekit.kernel import Available, StackKernel, StartErrors, assemble

if TYPE_CHECKING:
    from collections.abc import Callable

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]
    WriteStack = Callable[[str], Path]


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int


def zero() -> float:
    return 0.0


def refused(call: Callable[[], object]) -> list[str]:
    with pytest.raises(StartErrors) as caught:
        call()
    return [error.id for error in caught.value.errors]


def test_a_stack_without_plugins_is_a_kernel(assembled: Assemble, tmp_path: Path) -> None:
    kernel = assembled()
    assert kernel.plugin_names == ()
    assert kernel.base_directory == tmp_path
    assert kernel.stack_file == tmp_path / "tapekit.toml"
    assert not kernel.engines


def test_plugins_are_built_with_their_settings_in_dependency_order(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    built: list[tuple[str, object]] = []

    def init(self: Any, settings: Any) -> None:
        built.append((self.manifest.name, settings))

    kernel = assembled(
        plugin("late", requires=("early",), settings=Sizes, attributes={"__init__": init}),
        plugin("early", attributes={"__init__": init}),
        tables="[late]\nsize = 3\n",
    )
    assert [name for name, _ in built] == ["early", "late"]
    assert built[1][1] == Sizes(3)
    assert kernel.plugin_names == ("early", "late")


def test_everything_wrong_in_a_stack_file_is_told_at_once(
    plugin: MakePlugin, available: Callable[..., Available], stack_file: WriteStack
) -> None:
    def fail() -> object:
        raise ImportError("no libtape")

    installed = [
        available(plugin("needy", requires=("base", "ghost"), settings=Sizes)),
        available(plugin("base")),
        available(plugin("twin"), origin="one 1.0"),
        available(plugin("twin"), origin="two 2.0"),
        available(plugin("idle")),
        available(plugin("left", requires=("right",))),
        available(plugin("right", requires=("left",))),
        Available("broken", "three 3.0", "three", fail),
    ]
    file = stack_file(
        'plugins = ["needy", "twin", "broken", "nedy", "left", "right"]\n'
        "node = 3\nother = 1\n[needy]\nsiez = 3\n[idle]\n"
    )
    assert refused(lambda: assemble(file, installed, clock=zero)) == [
        "core.bad-top-level-value",
        "core.unknown-plugin",
        "core.unknown-top-level-key",
        "core.table-of-disabled-plugin",
        "core.plugin-from-two-distributions",
        "core.plugin-not-importable",
        "core.missing-requirement",
        "core.requirement-not-installed",
        "core.requirement-cycle",
        "core.unknown-setting",
        "core.missing-setting",
    ]


def test_a_requirement_that_is_enabled_but_broken_is_not_told_as_missing(
    plugin: MakePlugin, available: Callable[..., Available], stack_file: WriteStack
) -> None:
    def fail() -> object:
        raise ImportError("no libtape")

    installed = [
        available(plugin("needy", requires=("base",))),
        Available("base", "three 3.0", "three", fail),
    ]
    file = stack_file('plugins = ["needy", "base"]')
    assert refused(lambda: assemble(file, installed, clock=zero)) == ["core.plugin-not-importable"]


def test_twins_that_are_not_enabled_do_no_harm(
    plugin: MakePlugin, available: Callable[..., Available], stack_file: WriteStack
) -> None:
    twins = [available(plugin("twin")), available(plugin("twin")), available(plugin("a"))]
    assert assemble(stack_file('plugins = ["a"]'), twins, clock=zero).plugin_names == ("a",)


def test_a_disabled_plugin_is_not_loaded(stack_file: WriteStack) -> None:
    def fail() -> object:
        raise AssertionError("loaded")

    disabled = Available("disabled", "tests 1.0", "tests", fail)
    assert assemble(stack_file("plugins = []"), [disabled], clock=zero).plugin_names == ()


def test_all_constructors_are_asked_before_a_stack_is_refused(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    def refuse(self: Any, settings: Any) -> None:
        raise CORE.error("site-exists", file="f")

    def crash(self: Any, settings: Any) -> None:
        raise OSError("no such device")

    with pytest.raises(StartErrors) as caught:
        assembled(
            plugin("a", attributes={"__init__": refuse}),
            plugin("b", attributes={"__init__": crash}),
        )
    assert [str(error) for error in caught.value.errors] == [
        "f exists and will not be overwritten",
        'plugin "b" failed in its constructor: OSError: no such device',
    ]


def test_a_failure_that_a_plugin_does_not_explain_has_its_traceback_in_the_debug_log(
    plugin: MakePlugin, assembled: Assemble, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(self: Any, settings: Any) -> None:
        raise OSError("no such device")

    caplog.set_level(logging.DEBUG, "tapekit.kernel")
    with pytest.raises(StartErrors):
        assembled(plugin("a", attributes={"__init__": crash}))
    (record,) = (record for record in caplog.records if record.exc_info)
    assert record.exc_info is not None
    assert record.exc_info[0] is OSError


def test_the_node_is_named_by_the_file_the_caller_or_the_machine(
    assembled: Assemble,
) -> None:
    assert assembled(tables='node = "n1"\n', host_name="h1").node_name == "n1"
    assert assembled(host_name="h1").node_name == "h1"
    assert assembled().node_name == platform.node()


def test_a_relative_path_becomes_absolute(
    stack_file: WriteStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack_file("plugins = []")
    monkeypatch.chdir(tmp_path)
    kernel = assemble(Path("tapekit.toml"), [], clock=zero)
    assert os.fspath(kernel.base_directory) == os.fspath(tmp_path)


def test_the_clock_is_the_callers(assembled: Assemble) -> None:
    assert assembled(clock=lambda: 5.0).clock() == 5.0


def test_two_kernels_share_nothing(plugin: MakePlugin, assembled: Assemble) -> None:
    made = plugin("a")
    one, two = assembled(made), assembled(made)
    one.state.change("n", {"key": b"1"})
    one.drain()
    assert two.state.get("n", "key") is None
    assert not two.draining.is_set()
