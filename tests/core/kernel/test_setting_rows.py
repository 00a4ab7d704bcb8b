from __future__ import annotations

from typing import Annotated

import msgspec

from tapekit.kernel.setting_rows import SettingRow, setting_rows


class Volume(msgspec.Struct, frozen=True):
    path: str
    """Where the
    volume is."""
    inodes: int = 5
    password: str = "geheim"
    """Opens it."""


class Common(msgspec.Struct, frozen=True):
    verbose: bool = False
    """Whether to say more."""


class Settings(Common, frozen=True, rename="kebab"):
    drive_count: Annotated[int, msgspec.Meta(ge=0, le=64)] = 2
    """How many drives there are."""
    volumes: tuple[Volume, ...] = ()
    by_name: dict[str, Volume] = {}
    spare: Volume | None = None
    limits: list[int] = msgspec.field(default_factory=lambda: [1, 2])
    """Not a
    docstring of the next field."""
    "not this one either"
    others: list["Settings"] = []


def rows() -> dict[str, SettingRow]:
    return {row.key: row for row in setting_rows(Settings)}


def test_a_row_tells_type_default_and_help() -> None:
    assert rows()["drive-count"] == SettingRow(
        key="drive-count",
        type="a whole number from 0 to 64",
        default="2",
        help="How many drives there are.",
    )


def test_inherited_settings_keep_their_help() -> None:
    assert rows()["verbose"].help == "Whether to say more."


def test_tables_in_tables_have_rows_of_their_own() -> None:
    found = rows()
    assert found["volumes[].path"].help == "Where the volume is."
    assert found["volumes[].path"].default is None
    assert found["by-name.NAME.inodes"].default == "5"
    assert found["spare.path"].type == "text"


def test_a_struct_within_itself_ends() -> None:
    assert "others" in rows()
    assert not any(key.startswith("others[]") for key in rows())


def test_defaults_are_shown_as_in_the_file() -> None:
    found = rows()
    assert found["limits"].default == "[1, 2]"
    assert found["spare"].default == "none"
    assert found["verbose"].default == "false"


def test_default_secrets_are_not_shown() -> None:
    assert rows()["spare.password"].default == "not shown"


def test_settings_without_source_have_rows_without_help() -> None:
    made = msgspec.defstruct("Made", [("size", int, 3)])
    assert setting_rows(made) == [
        SettingRow(key="size", type="a whole number", default="3", help="")
    ]


def test_no_settings_are_no_rows() -> None:
    assert setting_rows(msgspec.defstruct("Nothing", [])) == []
