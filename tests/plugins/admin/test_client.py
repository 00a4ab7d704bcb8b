"""Calls of a command to a stack that runs, in both directions of the socket."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import (
    Feed,
    ManyNodes,
    NoReply,
    NoRequest,
    Operation,
    OperationRefused,
    Privilege,
    way_to,
    ways_to,
)
from tapekit_admin.client import SocketManagement
from tapekit_admin.errors import NotRunning

from .conftest import COUNT, DOUBLE, FAIL, HARM, Count, Number

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Sums


async def asked(kernel: Any, *arguments: Any) -> Any:
    """What ``call`` gives, made in a thread as if by another process."""
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(functools.partial(kernel.management.call, *arguments))


async def test_an_operation_is_performed_and_answered(managed: Any, serving: Any) -> None:
    kernel = managed()
    async with serving(kernel):
        assert await asked(kernel, DOUBLE, Count(21)) == Number(42)
        assert await asked(kernel, FAIL, Count(2)) == NoReply()


async def test_an_error_comes_out_as_it_was_raised(managed: Any, serving: Any) -> None:
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(OperationRefused) as refused:
            await asked(kernel, FAIL, Count(0))
    assert refused.value.id == "core.site-exists"
    assert str(refused.value) == "a {brace} exists and will not be overwritten"
    assert refused.value.action == "Choose another folder, or move a {brace} away first."


async def test_a_defect_ends_the_call_and_not_the_stack(
    managed: Any, serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(OperationRefused, match=r"sums\.fail failed because of an error"):
            await asked(kernel, FAIL, Count(1))
        assert await asked(kernel, DOUBLE, Count(1)) == Number(2)
    assert "RuntimeError: a defect" in caplog.text


async def test_harm_has_to_be_asked_for(managed: Any, serving: Any, sums: Sums) -> None:
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(OperationRefused, match="for the advanced privilege level only"):
            await asked(kernel, HARM, NoRequest())
        assert sums.harmed == 0
        await asked(kernel, HARM, NoRequest(), Privilege.ADVANCED)
    assert sums.harmed == 1


async def test_an_operation_that_the_stack_has_not_is_refused(managed: Any, serving: Any) -> None:
    other = Operation(name="sums.triple", summary="", request=Count, reply=Number)
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(OperationRefused) as refused:
            await asked(kernel, other, Count(1))
    assert refused.value.id == "admin.unknown-operation"
    assert "it has: admin.status, sums.count, sums.double" in str(refused.value)


async def test_a_request_of_the_wrong_shape_is_refused(managed: Any, serving: Any) -> None:
    other = Operation(name="sums.double", summary="", request=NoRequest, reply=Number)
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(OperationRefused, match="missing required field `to`"):
            await asked(kernel, other, NoRequest())


async def test_an_answer_of_another_shape_is_told(managed: Any, serving: Any) -> None:
    other = Operation(name="sums.fail", summary="", request=Count, reply=Number)
    kernel = managed()
    async with serving(kernel):
        with pytest.raises(TapekitError, match="missing required field `value`") as told:
            await asked(kernel, other, Count(2))
    assert told.value.id == "admin.answer-not-understood"


async def test_a_feed_is_read_to_its_end(managed: Any, serving: Any) -> None:
    kernel = managed()
    async with serving(kernel):
        with trio.fail_after(60):
            items = await trio.to_thread.run_sync(list, kernel.management.follow(COUNT, Count(5)))
    assert items == [Number(value) for value in range(5)]


async def test_closing_a_feed_cancels_it(managed: Any, serving: Any, sums: Sums) -> None:
    kernel = managed()

    def read_two() -> list[Number]:
        feed = kernel.management.follow(COUNT, Count(-2))
        items = list(itertools.islice(feed, 2))
        feed.close()
        return items

    async with serving(kernel):
        with trio.fail_after(60):
            assert await trio.to_thread.run_sync(read_two) == [Number(0), Number(1)]
            await sums.cancelled.wait()


async def test_it_answers_while_the_stack_drains(managed: Any, serving: Any) -> None:
    kernel = managed()
    async with serving(kernel) as drain:
        feed = kernel.management.follow(COUNT, Count(-1))
        first = await trio.to_thread.run_sync(next, feed)
        drain()
        await kernel.draining.wait()
        with pytest.raises(TapekitError) as ended:
            await trio.to_thread.run_sync(next, feed)
    assert first == Number(0)
    assert ended.value.id == "admin.server-went-away"


def test_without_a_server_that_is_said(tmp_path: Path) -> None:
    management = SocketManagement("state/admin.sock")
    management.settle(tmp_path)
    with pytest.raises(NotRunning) as told:
        management.call(DOUBLE, Count(1))
    assert str(told.value) == (
        f"no server of the stack in {tmp_path} runs: nobody listens at {tmp_path}/state/admin.sock"
    )
    assert "tapekit serve" in told.value.action


def answering(path: Path, answer: bytes) -> Callable[[], None]:
    """A server that says these bytes to one caller; gives what waits for it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread.join


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "admin.server-went-away"),
        (b'{"kind":"reply"', "admin.answer-not-understood"),
        (b'{"kind":"maybe"}\n', "admin.answer-not-understood"),
        (b"\xff\n", "admin.answer-not-understood"),
        (b'{"kind":"reply","value":{"value":"x"}}\n', "admin.answer-not-understood"),
    ],
)
@pytest.mark.parametrize("kind", [Operation, Feed])
def test_answers_that_make_no_sense_are_told(
    answer: bytes, error: str, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    join = answering(Path("s"), answer.replace(b"reply", b"item") if kind is Feed else answer)
    management = SocketManagement("s")
    management.settle(tmp_path)
    wanted = kind(name="a.b", summary="", request=NoRequest, reply=Number)
    ask = management.follow if kind is Feed else management.call
    with pytest.raises(TapekitError) as told:
        list(ask(wanted, NoRequest()))
    assert told.value.id == error
    join()


NODES = """
[admin]
socket = "run/a.sock"

[admin.nodes]
second = "run/a.sock"
silent = "run/b.sock"
"""


@pytest.mark.requirement("R014")
async def test_other_nodes_are_asked_over_their_sockets(managed: Any, serving: Any) -> None:
    kernel = managed(NODES)
    management = kernel.management
    assert isinstance(management, ManyNodes)
    async with serving(kernel):
        with trio.fail_after(60):
            second = management.nodes["second"]
            ask = functools.partial(second.call, DOUBLE, Count(21))
            assert await trio.to_thread.run_sync(ask) == Number(42)
    with pytest.raises(NotRunning, match="no server of node silent runs: nobody listens at"):
        management.nodes["silent"].call(DOUBLE, Count(1))


@pytest.mark.parametrize(
    ("node", "ways"),
    [(None, ["", "second", "silent"]), ("local", [""]), ("second", ["second"]), ("third", [""])],
)
def test_a_command_finds_the_nodes_of_which_it_speaks(
    managed: Any, node: str | None, ways: list[str]
) -> None:
    management = managed(NODES).management
    by_name = {"": management, **management.nodes}
    assert list(ways_to(management, node)) == [by_name[name] for name in ways]
    assert way_to(management, node) is by_name[ways[0]]


@pytest.mark.parametrize("node", [None, "local", "second"])
def test_a_way_to_one_node_leads_to_no_other(node: str | None) -> None:
    alone: Any = object()
    assert list(ways_to(alone, node)) == [alone]
