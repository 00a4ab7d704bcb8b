from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.environment import BadEnvironment, Environment, Kind, Variable

ROWS = (
    Variable(name="HIST", engine="dump", kind=Kind.SWITCH, summary="history", default="N"),
    Variable(name="LEVEL", engine="dump", kind=Kind.NUMBER, summary="level", highest=31),
    Variable(
        name="FORMAT",
        engine="dump",
        kind=Kind.CHOICE,
        summary="format",
        choices=("Dir", "Path"),
        default="Dir",
    ),
    Variable(name="EXCLUDE", engine="dump", kind=Kind.TEXT, summary="patterns"),
)


def environment(*pairs: tuple[str, str]) -> Environment:
    return Environment(ROWS, pairs)


@pytest.mark.requirement("R122")
@pytest.mark.parametrize("value", ["Y", "y", "yes", "T", "true", "1", " Y "])
def test_a_switch_can_be_on(value: str) -> None:
    assert environment(("HIST", value)).switch("HIST") is True


@pytest.mark.requirement("R122")
@pytest.mark.parametrize("value", ["N", "n", "no", "F", "false", "0", ""])
def test_a_switch_can_be_off(value: str) -> None:
    assert environment(("HIST", value)).switch("HIST") is False


def test_defaults_stand_in_for_what_the_dma_does_not_set() -> None:
    values = environment()
    assert values.switch("HIST") is False
    assert values.choice("FORMAT") == "Dir"
    assert values.number("LEVEL") is None
    assert values.text("EXCLUDE") is None
    assert not values.is_set("HIST")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("31", 31), (" 7 ", 7), ("007", 7)])
def test_a_number_is_read_within_its_limits(text: str, value: int) -> None:
    assert environment(("LEVEL", text)).number("LEVEL") == value


@pytest.mark.parametrize(
    "text", ["", "x", "32", "-1", "1.0", "0x1", "\u0661", "--1", "9" * 4000, "1 2"]
)
def test_a_number_out_of_its_limits_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        environment(("LEVEL", text)).number("LEVEL")
    assert caught.value.id == "core.bad-environment-value"
    assert str(caught.value) == f"LEVEL={text}: the value must be a whole number from 0 to 31"


def test_a_choice_comes_back_in_its_own_spelling() -> None:
    assert environment(("FORMAT", " path ")).choice("FORMAT") == "Path"


def test_an_empty_choice_is_the_default() -> None:
    assert environment(("FORMAT", " ")).choice("FORMAT") == "Dir"


def test_a_choice_without_value_or_default_is_none() -> None:
    row = Variable(name="F", engine="dump", kind=Kind.CHOICE, summary="", choices=("a",))
    assert Environment([row], []).choice("F") is None


@pytest.mark.parametrize(
    ("pair", "allowed"),
    [
        (("HIST", "maybe"), "Y or N"),
        (("FORMAT", "tar"), "one of Dir, Path"),
        (("LEVEL", "99"), "a whole number from 0 to 31"),
    ],
)
def test_check_names_the_bad_value_and_what_is_allowed(pair: tuple[str, str], allowed: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        environment(pair).check()
    name, value = pair
    assert caught.value.facts == {"name": name, "value": value, "allowed": allowed}


def test_check_accepts_good_values_and_unknown_names() -> None:
    values = environment(("HIST", "Y"), ("EXCLUDE", "*.o"), ("VENDOR_THING", "?"))
    values.check()
    assert values.pairs[-1] == ("VENDOR_THING", "?")


def test_the_last_of_several_values_counts() -> None:
    values = environment(("LEVEL", "1"), ("LEVEL", "2"))
    assert values.number("LEVEL") == 2
    assert values.all("LEVEL") == ("1", "2")
    assert values.is_set("LEVEL")


def test_names_are_compared_exactly() -> None:
    assert environment(("level", "3")).number("LEVEL") is None


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for name, read in (("HIST", Environment.switch), ("LEVEL", Environment.number)):
        values = environment((name, text))
        refusal = None
        try:
            value = read(values, name)
        except BadEnvironment as error:
            refusal = error
        if refusal is None:
            assert isinstance(value, int)
        else:
            assert refusal.facts["value"] == text
