from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.kernel.stack_file import plugins_line, read_stack_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.errors import TapekitError

INSTALLED = ("dump", "ndmp_v4", "vtape")


def wrong(file: Path) -> list[TapekitError]:
    return read_stack_file(file, INSTALLED)[1]


def told(file: Path) -> list[str]:
    return [str(error).removeprefix(f"{file}: ") for error in wrong(file)]


def test_a_stack_file_is_read(stack_file: Callable[[str], Path]) -> None:
    file = stack_file(
        'plugins = ["vtape", "dump"]\nnode = "n1"\ndrain_timeout_s = 5\n[vtape]\ndrives = 2\n'
    )
    stack, errors = read_stack_file(file, INSTALLED)
    assert not errors
    assert stack.path == file
    assert stack.top.plugins == ("vtape", "dump")
    assert (stack.top.node, stack.top.drain_timeout_s) == ("n1", 5.0)
    assert stack.tables == {"vtape": {"drives": 2}}


def test_a_stack_of_no_plugins_is_fine(stack_file: Callable[[str], Path]) -> None:
    assert wrong(stack_file("plugins = []")) == []


def test_everything_wrong_is_told_at_once(stack_file: Callable[[str], Path]) -> None:
    file = stack_file(
        'plugins = ["vtap", "vtape", "vtape"]\n'
        'node = ""\ndrain_timeout_s = "soon"\nvtape = 3\ndump = {}\nvtaep = {}\n'
    )
    assert told(file) == [
        'node: "" is not allowed here',
        'drain_timeout_s: "soon" is not allowed here',
        'plugins: no plugin "vtap" is installed; there are: dump, ndmp_v4, vtape',
        'plugins: "vtape" is named 2 times',
        "vtape: 3 is not allowed here",
        "the table [dump] is for a plugin that is not enabled",
        '"vtaep" is neither a key of the stack file nor an installed plugin',
    ]


def test_misspelt_words_get_their_likeliest_correction(
    stack_file: Callable[[str], Path],
) -> None:
    first, second = wrong(stack_file('plugins = ["vtap"]\nnod = "n1"\n'))
    assert "similar: vtape" in first.explained
    assert "similar: node" in second.explained


def test_the_table_of_an_unknown_plugin_is_not_told_twice(
    stack_file: Callable[[str], Path],
) -> None:
    file = stack_file('plugins = ["tar"]\n[tar]\nsize = 1\n')
    assert [error.id for error in wrong(file)] == ["core.unknown-plugin"]


def test_a_missing_list_gets_the_line_to_write(stack_file: Callable[[str], Path]) -> None:
    (error,) = wrong(stack_file("[vtape]\ndrives = 2\n"))
    assert error.id == "core.no-plugins-key"
    assert 'plugins = ["vtape"]' in error.explained


@pytest.mark.parametrize("value", ['"vtape"', "3", "{}"])
def test_the_list_must_be_a_list(value: str, stack_file: Callable[[str], Path]) -> None:
    (error,) = wrong(stack_file(f"plugins = {value}\ndump = {{}}"))
    assert error.id == "core.bad-top-level-value"
    assert error.facts["allowed"] == "a list, each text"


def test_names_in_a_bad_list_still_count(stack_file: Callable[[str], Path]) -> None:
    file = stack_file('plugins = ["vtape", 3]\n[vtape]\n[dump]\n')
    stack, errors = read_stack_file(file, INSTALLED)
    assert [error.id for error in errors] == [
        "core.bad-top-level-value",
        "core.table-of-disabled-plugin",
    ]
    assert stack.top.plugins == ("vtape",)


def test_bad_toml_is_told_with_its_line(stack_file: Callable[[str], Path]) -> None:
    (text,) = told(stack_file('plugins = []\nnode = "n1\n'))
    assert text.startswith("not valid TOML: ")
    assert "line 2" in text


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    (error,) = wrong(tmp_path / "none.toml")
    assert error.id == "core.stack-file-missing"
    assert f"tapekit init {tmp_path}" in error.explained


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (error,) = wrong(tmp_path)
    assert str(error) == f"{tmp_path}: the stack file cannot be read: Is a directory"


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "tapekit.toml"
    file.write_bytes(b"plugins = ['\xff']")
    (error,) = wrong(file)
    assert error.id == "core.stack-file-unreadable"


def test_with_nothing_installed_that_is_said(stack_file: Callable[[str], Path]) -> None:
    (error,) = read_stack_file(stack_file('plugins = ["dump"]'), ())[1]
    assert str(error).endswith("there are: none")


def test_plugins_line_is_toml() -> None:
    assert plugins_line(["a", "b"]) == 'plugins = ["a", "b"]'
