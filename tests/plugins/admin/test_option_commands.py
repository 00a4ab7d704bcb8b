"""``tapekit options`` lists, shows and sets the options that plugins offer."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import OptionState, option
from tapekit_admin.option_commands import options_app

VALUES = ("on", "off")


class MemoryOptions:
    """Options that are all on at first, as a management would reach them."""

    def __init__(self, *names: str) -> None:
        self.values = dict.fromkeys(names, "on")
        self.operations = {
            operation.name: operation.performed_by(self._perform)
            for operation in (option(name, "An option") for name in names)
        }
        self.operations["other.thing"] = self.operations[f"options.{names[0]}"]

    async def _perform(self, request: Any) -> Any:
        raise AssertionError("a command does not perform")

    @property
    def management(self) -> Any:
        return SimpleNamespace(call=self._call)

    def _call(self, operation: Any, request: Any) -> OptionState:
        name = operation.name.removeprefix("options.")
        if request.value is not None:
            self.values[name] = request.value
        return OptionState(name=name, value=self.values[name], values=VALUES)


def typed(options: MemoryOptions, line: str) -> str:
    kernel: Any = options
    result = CliRunner().invoke(options_app(lambda: kernel), line.split())
    if isinstance(result.exception, TapekitError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def options() -> MemoryOptions:
    return MemoryOptions("tape.reservations", "backup.log.enable")


def test_all_options_are_listed(options: MemoryOptions) -> None:
    lines = [line.split(maxsplit=2) for line in typed(options, "").splitlines()]
    assert lines == [
        ["Option", "Value", "Constraint"],
        ["backup.log.enable", "on", "on, off"],
        ["tape.reservations", "on", "on, off"],
    ]


@pytest.mark.parametrize(
    "line",
    [
        "backup.log.enable off --json",
        "--json backup.log.enable off",
        "-option-name backup.log.enable -option-value off --json",
        "--option-value off --option-name backup.log.enable --json",
    ],
)
def test_an_option_is_set_in_both_ways_of_the_guide(options: MemoryOptions, line: str) -> None:
    (state,) = json.loads(typed(options, line))
    assert state == {"name": "backup.log.enable", "value": "off", "values": ["on", "off"]}
    assert options.values == {"tape.reservations": "on", "backup.log.enable": "off"}


def test_an_option_is_shown(options: MemoryOptions) -> None:
    assert typed(options, "tape.reservations").splitlines()[1].split()[1] == "on"


def test_an_unknown_option_is_refused(options: MemoryOptions) -> None:
    with pytest.raises(TapekitError, match=r"no option thing; the options are: backup\.log"):
        typed(options, "thing")


@pytest.mark.parametrize("line", ["a b c", "-option-value off"])
def test_more_than_an_option_and_a_value_is_wrong_use(options: MemoryOptions, line: str) -> None:
    kernel: Any = options
    result = CliRunner().invoke(options_app(lambda: kernel), line.split())
    assert result.exit_code == 2
    assert "one value at most" in result.output
