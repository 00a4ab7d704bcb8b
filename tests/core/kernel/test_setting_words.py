from __future__ import annotations

import datetime as dt
import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from tapekit.kernel.setting_words import in_words, is_secret, shown


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct):
    size: int


class Tug(msgspec.Struct, tag=True):
    power: int


class Barge(msgspec.Struct, tag=True):
    load: int


def limited(kind: Any, **limits: Any) -> Any:
    return Annotated[kind, msgspec.Meta(**limits)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true or false"),
        (int, "a whole number"),
        (limited(int, ge=1, le=64), "a whole number from 1 to 64"),
        (limited(int, ge=1, le=64, multiple_of=2), "a whole number from 1 to 64, a multiple of 2"),
        (limited(int, ge=1), "a whole number of at least 1"),
        (limited(float, gt=0, lt=1), "a number above 0 below 1"),
        (limited(float, le=9), "a number of at most 9"),
        (str, "text"),
        (limited(str, min_length=1), "text of at least 1 character"),
        (limited(str, max_length=8), "text of at most 8 characters"),
        (limited(str, min_length=1, max_length=8), "text of 1 to 8 characters"),
        (limited(str, pattern="^[a-z]+$"), "text like ^[a-z]+$"),
        (Literal["a", "b"], 'one of "a", "b"'),
        (Colour, 'one of "red", "blue"'),
        (int | None, "a whole number"),
        (int | str, "a whole number or text"),
        (Tug | Barge, "a table"),
        (list[str], "a list, each text"),
        (tuple[int, ...], "a list, each a whole number"),
        (tuple[int, str], "a list of a whole number, text"),
        (limited(list[str], min_length=1), "a list of at least 1 item, each text"),
        (dict[str, int], "a table"),
        (Inner, "a table"),
        (Path, "a path"),
        (dt.datetime, "a date or time"),
        (limited(int, extra={"unit": "s"}), "a whole number"),
        (bytes, "a value of type bytes"),
    ],
)
def test_types_in_words(kind: Any, words: str) -> None:
    assert in_words(kind) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ('a "b" ä', '"a \\"b\\" ä"'),
        (Path("/srv"), '"/srv"'),
        (Colour.RED, '"red"'),
        ([1, "a"], '[1, "a"]'),
        ((), "[]"),
        (frozenset({"b", "a"}), '["a", "b"]'),
        ({"a": {"b": 1}}, "{a = {b = 1}}"),
        (Inner(3), "{size = 3}"),
        (dt.date(2024, 1, 2), "2024-01-02"),
    ],
)
def test_values_as_they_would_stand_in_the_file(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut() -> None:
    text = shown("x" * 1000)
    assert len(text) == 60
    assert text.endswith("...")


def test_secrets_are_not_shown() -> None:
    assert shown({"password": "abc", "user": "ndmp"}) == '{password = ..., user = "ndmp"}'


@pytest.mark.parametrize("key", ["password", "ndmp_password", "secret", "Token", "passphrase"])
def test_keys_that_may_hold_secrets(key: str) -> None:
    assert is_secret(key)


@pytest.mark.parametrize("key", ["user", "tokens_per_second_of_secrecy", "passwords"])
def test_keys_that_hold_none(key: str) -> None:
    assert not is_secret(key)
