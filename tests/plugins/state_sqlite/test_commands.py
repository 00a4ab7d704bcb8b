"""``tapekit state list``."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from tapekit_state_sqlite.commands import command_app
from tapekit_state_sqlite.settings import StateSqliteSettings
from tapekit_state_sqlite.store import SqliteStateStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStateStore]:
    store = SqliteStateStore(StateSqliteSettings())
    store.settle(tmp_path)
    store.change("dump.dates", {"/vs1/vol1": b"12345", "/vs1/\x1b[2J": b""})
    store.change("auth.users", {"anna": b"sealed secret"})
    yield store
    store.close()


def output(store: SqliteStateStore, *arguments: str) -> str:
    result = CliRunner().invoke(command_app(store), arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_list_shows_namespaces(store: SqliteStateStore) -> None:
    lines = [line.split() for line in output(store, "list").splitlines()]
    assert lines == [
        ["Namespace", "Keys", "Bytes"],
        ["auth.users", "1", "13"],
        ["dump.dates", "2", "5"],
    ]


def test_list_shows_the_keys_of_one_namespace_and_no_value(store: SqliteStateStore) -> None:
    text = output(store, "list", "auth.users")
    assert "anna" in text
    assert "sealed" not in text


def test_list_escapes_what_a_terminal_would_obey(store: SqliteStateStore) -> None:
    text = output(store, "list", "dump.dates")
    assert "\x1b" not in text
    assert r"/vs1/\x1b[2J" in text


def test_list_answers_with_json(store: SqliteStateStore) -> None:
    name = os.fsdecode(b"/vs1/caf\xe9")
    store.change("dump.dates", {"/vs1/\x1b[2J": None, name: b"1"})
    assert json.loads(output(store, "list", "--json")) == [
        {"namespace": "auth.users", "keys": 1, "length_bytes": 13},
        {"namespace": "dump.dates", "keys": 2, "length_bytes": 6},
    ]
    assert json.loads(output(store, "list", "dump.dates", "--json")) == [
        {"key": name, "length_bytes": 1},
        {"key": "/vs1/vol1", "length_bytes": 5},
    ]


def test_list_of_an_unknown_namespace_is_empty(store: SqliteStateStore) -> None:
    assert json.loads(output(store, "list", "nothing", "--json")) == []
