"""``tapekit admin`` against a stack that runs in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit_admin.commands import command_app

if TYPE_CHECKING:
    from tapekit.kernel import StackKernel

    from .conftest import Sums


def admin(kernel: StackKernel, *arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(command_app(lambda: kernel), arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


async def elsewhere(kernel: StackKernel, *arguments: str) -> str:
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(admin, kernel, *arguments)


async def test_status_tells_what_runs(managed: Any, serving: Any) -> None:
    kernel = managed()
    async with serving(kernel):
        told = json.loads(await elsewhere(kernel, "status", "--json"))
        assert told["directory"] == str(kernel.base_directory)
        assert told["started_s"] == 1_700_000_000.0
        assert told["is_draining"] is False
        table = await elsewhere(kernel, "status")
    assert "Started  2023-11-14T22:13:20Z\n" in table
    assert "State    running\n" in table


def test_operations_are_listed_without_a_server(managed: Any) -> None:
    rows = json.loads(admin(managed(), "operations", "--json"))
    assert [row["name"] for row in rows] == [
        "admin.status",
        "sums.count",
        "sums.double",
        "sums.fail",
        "sums.harm",
    ]
    assert rows[1] == {
        "name": "sums.count",
        "privilege": "admin",
        "answers": "many",
        "request": ["to"],
        "summary": "Count on and on",
    }
    lines = admin(managed(), "operations").splitlines()
    assert lines[0].split() == [
        "Operation",
        "Privilege",
        "Answers",
        "Request",
        "What",
        "it",
        "does",
    ]
    assert lines[5].split() == ["sums.harm", "advanced", "one", "Do", "harm"]


async def test_any_operation_can_be_called(managed: Any, serving: Any, sums: Sums) -> None:
    kernel = managed()
    async with serving(kernel):
        assert json.loads(await elsewhere(kernel, "call", "sums.double", '{"to":3}')) == {
            "value": 6
        }
        counted = await elsewhere(kernel, "call", "sums.count", '{"to":2}')
        assert counted == '{"value":0}\n{"value":1}\n'
        with pytest.raises(TapekitError, match="advanced privilege level only"):
            await elsewhere(kernel, "call", "sums.harm")
        await elsewhere(kernel, "call", "sums.harm", "--advanced")
    assert sums.harmed == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("sums.triple",), "admin.unknown-operation"),
        (("sums.double", "x"), "admin.bad-request"),
        (("sums.double", "{}"), "admin.bad-request"),
    ],
)
def test_what_cannot_be_called_is_told(
    arguments: tuple[str, ...], error: str, managed: Any
) -> None:
    with pytest.raises(TapekitError) as refused:
        admin(managed(), "call", *arguments)
    assert refused.value.id == error
