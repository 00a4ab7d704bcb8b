from __future__ import annotations

import string
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import CORE
from tapekit.kernel.settings import decode_settings

FILE = Path("/etc/tapekit.toml")


class Volume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    inodes: Annotated[int, msgspec.Meta(ge=1)] = 100
    password: str = ""

    def __post_init__(self) -> None:
        if self.name == "root" and self.inodes < 50:
            raise ValueError("the volume root needs 50 inodes")
        if self.name == "refused":
            raise CORE.error("site-exists", file="refused")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    directory: Path
    drives: Annotated[int, msgspec.Meta(ge=0, le=64)] = 2
    limit_s: float = 1.5
    label: str | None = None
    volumes: tuple[Volume, ...] = ()
    by_name: dict[str, Volume] = {}
    spare: Volume | None = None
    tags: Annotated[list[str], msgspec.Meta(max_length=2)] = []


class Disk(msgspec.Struct, frozen=True, tag="disk", forbid_unknown_fields=True):
    path: str


class Robot(msgspec.Struct, frozen=True, tag="robot", forbid_unknown_fields=True):
    slots: int


class Tagged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: Disk | Robot
    disk: Disk | None = None


def errors(kind: type[msgspec.Struct] = Settings, /, **table: object) -> list[str]:
    settings, found = decode_settings(FILE, "vtape", kind, table)
    assert (settings is None) == bool(found)
    return [str(error).removeprefix(f"{FILE}: ") for error in found]


def test_a_table_becomes_the_settings() -> None:
    table = {"directory": "vtape", "limit_s": 2, "volumes": [{"name": "a"}]}
    settings, found = decode_settings(FILE, "vtape", Settings, table)
    assert not found
    assert settings == Settings(directory=Path("vtape"), limit_s=2.0, volumes=(Volume(name="a"),))


def test_everything_wrong_in_a_table_is_told_at_once() -> None:
    assert errors(
        drives="two",
        limit_s=True,
        volums=[],
        volumes=[{"name": "a"}, {"inodes": 0, "colour": "red"}],
        by_name={"b": {"name": 3}},
        spare={},
    ) == [
        'vtape.drives: "two" is not allowed here',
        "vtape.limit_s: true is not allowed here",
        '[vtape]: there is no setting "volums"',
        "vtape.volumes#2.inodes: 0 is not allowed here",
        '[vtape.volumes#2]: there is no setting "colour"',
        '[vtape.volumes#2]: the setting "name" is missing',
        "vtape.by_name.b.name: 3 is not allowed here",
        '[vtape.spare]: the setting "name" is missing',
        '[vtape]: the setting "directory" is missing',
    ]


def actions(kind: type[msgspec.Struct] = Settings, /, **table: object) -> list[str]:
    _, found = decode_settings(FILE, "vtape", kind, table)
    return [error.explained.splitlines()[1].strip() for error in found]


def test_each_error_says_what_to_do() -> None:
    assert actions(drives=65, volums=[]) == [
        "Set vtape.drives to a whole number from 0 to 64 (tapekit settings vtape).",
        "Correct or remove it (similar: volumes; all: tapekit settings vtape).",
        'Set "directory" in [vtape] to a path (tapekit settings vtape).',
    ]


def test_nothing_is_converted_on_the_way() -> None:
    assert errors(directory="d", drives="2", label=5) == [
        'vtape.drives: "2" is not allowed here',
        "vtape.label: 5 is not allowed here",
    ]


def test_a_path_is_a_text() -> None:
    assert errors(directory=7) == ["vtape.directory: 7 is not allowed here"]


def test_a_list_is_judged_after_its_items() -> None:
    assert errors(directory="d", tags=["a", "b", 3]) == ["vtape.tags#3: 3 is not allowed here"]
    assert errors(directory="d", tags=["a", "b", "c"]) == [
        'vtape.tags: ["a", "b", "c"] is not allowed here'
    ]


@pytest.mark.parametrize("value", [3, "text", [1]])
def test_a_table_is_wanted_where_tables_stand(value: object) -> None:
    (text,) = errors(directory="d", spare=value)
    assert text.startswith("vtape.spare: ")


def test_what_a_struct_refuses_as_a_whole_is_told_in_its_words() -> None:
    assert errors(directory="d", volumes=[{"name": "root", "inodes": 3}]) == [
        "[vtape.volumes#1]: the volume root needs 50 inodes"
    ]


def test_a_struct_may_refuse_with_an_error_of_its_own() -> None:
    _, found = decode_settings(FILE, "vtape", Volume, {"name": "refused"})
    assert [error.id for error in found] == ["core.site-exists"]


def test_a_value_that_may_be_a_secret_is_not_told() -> None:
    (text,) = errors(Volume, name="a", password=[1234])
    assert text == "vtape.password: a value that may be a secret is not allowed here"


def test_a_tagged_table_may_carry_its_tag() -> None:
    assert errors(Tagged, device={"type": "robot", "slots": 3}) == []
    assert errors(Tagged, device={"type": "disk", "pth": "a"}, disk={"type": "disk"}) == [
        '[vtape.device]: there is no setting "pth"',
        '[vtape.device]: the setting "path" is missing',
        '[vtape.disk]: the setting "path" is missing',
    ]


def test_a_bad_choice_of_tables_is_told() -> None:
    assert errors(Tagged, device={"type": "boat"}) == ["[vtape.device]: Invalid value 'boat'"]


TOML_VALUES: Any = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("name", "inodes", "type", "x")), inner, max_size=3)
    ),
    max_leaves=8,
)
TABLES = st.dictionaries(
    st.sampled_from((*Settings.__struct_fields__, "other")), TOML_VALUES, max_size=6
)


@given(TABLES)
def test_any_table_gives_settings_or_errors_with_remedies(table: dict[str, Any]) -> None:
    settings, found = decode_settings(FILE, "vtape", Settings, table)
    assert (settings is None) == bool(found)
    for error in found:
        fields = {field for _, field, _, _ in string.Formatter().parse(error.fault.action)}
        assert fields - {None} <= error.facts.keys()
