from __future__ import annotations

import string
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import CORE, Catalogue, Fault, StartErrors, TapekitError

if TYPE_CHECKING:
    from pathlib import Path

FAULT = Fault(
    id="x.too-hot",
    message="{device} is {degrees} degrees hot",
    cause="The fan stands still.",
    action="Clean the fan of {device}; the limit is {limit}.",
)
CATALOGUE = Catalogue("x", {"too-hot": FAULT})


class TooHot(TapekitError):
    pass


def test_the_text_holds_the_facts() -> None:
    error = CATALOGUE.error("too-hot", device="nrst0a", degrees=90)
    assert str(error) == "nrst0a is 90 degrees hot"
    assert error.id == "x.too-hot"
    assert error.facts == {"device": "nrst0a", "degrees": 90}


def test_explained_adds_the_action_and_the_identifier() -> None:
    error = CATALOGUE.error("too-hot", device="nrst0a", degrees=90, limit=60)
    assert error.explained == (
        "nrst0a is 90 degrees hot\n"
        "  Clean the fan of nrst0a; the limit is 60.\n"
        "  (tapekit explain x.too-hot)"
    )


def test_an_action_keeps_placeholders_without_a_fact() -> None:
    error = CATALOGUE.error("too-hot", device="nrst0a", degrees=90)
    assert "the limit is {limit}." in error.explained


def test_facts_with_braces_are_not_templates() -> None:
    error = CATALOGUE.error("too-hot", device="{degrees}", degrees=90)
    assert str(error) == "{degrees} is 90 degrees hot"


def test_raised_as_builds_the_class_that_callers_catch() -> None:
    error = CATALOGUE.raised_as(TooHot, "too-hot", device="d", degrees=1)
    assert type(error) is TooHot


def test_a_missing_fact_is_a_mistake_in_the_code() -> None:
    with pytest.raises(KeyError, match=r"x\.too-hot lacks the facts \['degrees'\]"):
        CATALOGUE.error("too-hot", device="d")


def test_an_unknown_row_cannot_be_raised() -> None:
    with pytest.raises(KeyError, match="too-cold"):
        CATALOGUE.error("too-cold")


def test_a_catalogue_gives_its_rows() -> None:
    assert list(CATALOGUE) == [FAULT]
    assert CATALOGUE["too-hot"] is FAULT
    assert FAULT.placeholders == {"device", "degrees"}


def package(folder: Path, name: str, toml: str | None) -> str:
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    if toml is not None:
        (folder / name / "errors.toml").write_text(toml)
    return name


def test_a_catalogue_is_read_from_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = package(
        tmp_path, "read_catalogue", '[jam]\nmessage = "jam"\ncause = "c"\naction = "a"\n'
    )
    (fault,) = Catalogue.of("robot", name)
    assert fault == Fault(id="robot.jam", message="jam", cause="c", action="a")


@pytest.mark.parametrize(
    "row",
    [
        '[jam]\nmessage = "jam"\ncause = "c"\n',
        '[jam]\nmessage = "jam"\ncause = "c"\naction = "a"\nseverity = "high"\n',
        '[jam]\nmessage = 3\ncause = "c"\naction = "a"\n',
    ],
)
def test_a_row_has_three_texts_and_nothing_else(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = package(tmp_path, f"bad_row_{abs(hash(row))}", row)
    with pytest.raises(msgspec.ValidationError):
        Catalogue.of("robot", name)


def test_a_package_without_a_catalogue_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FileNotFoundError):
        Catalogue.of("robot", package(tmp_path, "no_catalogue", None))


@pytest.mark.parametrize("fault", list(CORE), ids=lambda fault: fault.id)
def test_templates_of_core_are_plain_format_strings(fault: Fault) -> None:
    for text in (fault.message, fault.cause, fault.action):
        fields = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
        assert all(field.isidentifier() for field in fields)


def test_every_reason_is_kept_and_told() -> None:
    errors = [CORE.error("site-exists", file=name) for name in ("a", "b")]
    refused = StartErrors(iter(errors))
    assert refused.errors == tuple(errors)
    assert str(refused) == (
        "a exists and will not be overwritten\nb exists and will not be overwritten"
    )
