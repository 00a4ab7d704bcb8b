"""The rows of the engine's environment variables."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.environment import BadEnvironment, Direction, Environment, Kind
from tapekit_dump.variables import VARIABLES, refuse_unicode_without_history

NAMES_OF_THE_GUIDE = frozenset(
    [
        "DEBUG",
        "FILESYSTEM",
        "NDMP_VERSION",
        "PATHNAME_SEPARATOR",
        "TYPE",
        "VERBOSE",
        "ACL_START",
        "BASE_DATE",
        "DIRECT",
        "DMP_NAME",
        "DUMP_DATE",
        "ENHANCED_DAR_ENABLED",
        "EXCLUDE",
        "EXTRACT",
        "EXTRACT_ACL",
        "FORCE",
        "HIST",
        "IGNORE_CTIME",
        "IGNORE_QTREES",
        "LEVEL",
        "LIST",
        "LIST_QTREES",
        "MULTI_SUBTREE_NAMES",
        "NDMP_UNICODE_FH",
        "NO_ACLS",
        "NON_QUOTA_TREE",
        "NOWRITE",
        "RECURSIVE",
        "RECOVER_FULL_PATHS",
        "UPDATE",
    ]
)


def environment(*pairs: tuple[str, str]) -> Environment:
    return Environment(VARIABLES, pairs)


def test_every_variable_of_the_guide_has_a_row() -> None:
    assert {row.name for row in VARIABLES} == NAMES_OF_THE_GUIDE | {"PREFIX", "OFFSET_MAP_START"}
    assert len({row.name for row in VARIABLES}) == len(VARIABLES)


@pytest.mark.requirement("R127")
def test_defaults_are_those_of_the_guide() -> None:
    defaults = {row.name: row.default for row in VARIABLES if row.default is not None}
    switches = {row.name for row in VARIABLES if row.kind is Kind.SWITCH}
    assert {name for name in switches if defaults[name] == "Y"} == {
        "UPDATE",
        "EXTRACT_ACL",
        "RECURSIVE",
    }
    assert (defaults["LEVEL"], defaults["BASE_DATE"], defaults["TYPE"]) == ("0", "-1", "dump")
    environment().check()


def test_returned_variables_are_marked() -> None:
    directions = {row.name: row.direction for row in VARIABLES}
    assert directions["ACL_START"] is Direction.RETURNED_AND_PASSED_BACK
    returned = {name for name, way in directions.items() if way is Direction.RETURNED}
    assert returned == {"DUMP_DATE", "NDMP_VERSION", "PATHNAME_SEPARATOR"}


@pytest.mark.requirement("R142")
@pytest.mark.parametrize(
    ("name", "value"),
    [("LEVEL", "32"), ("LEVEL", "x"), ("BASE_DATE", "-2"), ("TYPE", "tar"), ("HIST", "perhaps")],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadEnvironment, match=f"{name}={value}"):
        environment((name, value)).check()


@pytest.mark.requirement("R122")
@pytest.mark.parametrize("value", ["Y", "N", "T", "F", "D", "1", "0", "y", "t", "f", "true"])
def test_hist_takes_what_switches_take_and_two_forms(value: str) -> None:
    environment(("HIST", value)).check()


@pytest.mark.requirement("R146")
@pytest.mark.parametrize("history", [(), (("HIST", "N"),), (("HIST", "false"),), (("HIST", "0"),)])
def test_unicode_names_need_a_file_history(history: tuple[tuple[str, str], ...]) -> None:
    asked = environment(("NDMP_UNICODE_FH", "Y"), *history)
    with pytest.raises(BadEnvironment, match="NDMP_UNICODE_FH=Y needs HIST=Y") as refused:
        refuse_unicode_without_history(asked)
    assert refused.value.id == "dump.unicode-needs-history"


@pytest.mark.requirement("R146")
def test_unicode_names_go_with_any_file_history() -> None:
    refuse_unicode_without_history(environment())
    refuse_unicode_without_history(environment(("NDMP_UNICODE_FH", "N")))
    for form in ("Y", "D", "F", "true"):
        refuse_unicode_without_history(environment(("NDMP_UNICODE_FH", "Y"), ("HIST", form)))
