from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.hookspecs.environment import Kind, Variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.kernel import StackKernel

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


def test_the_kernel_is_what_plugins_were_promised(assembled: Assemble) -> None:
    kernel: Kernel = assembled()
    assert kernel.node_name


@pytest.mark.parametrize(
    "table", ["data_transports", "engines", "tape_drivers", "snapshot_methods"]
)
def test_collections_cannot_be_changed(table: str, assembled: Assemble) -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        getattr(assembled(), table)["x"] = object()


def test_variables_belong_to_their_engine(plugin: MakePlugin, assembled: Assemble) -> None:
    rows = [
        Variable(name="LEVEL", engine=engine, kind=Kind.NUMBER, summary="level")
        for engine in ("dump", "smtape")
    ]
    kernel = assembled(
        plugin("a", tapekit_register_environment_variables=lambda self: rows[:1]),
        plugin("b", tapekit_register_environment_variables=lambda self: rows[1:]),
    )
    assert kernel.variables("dump") == (rows[0],)
    assert kernel.variables("smtape") == (rows[1],)
    assert kernel.variables("tar") == ()


def test_addresses_are_reported_once_everything_is_ready(assembled: Assemble) -> None:
    kernel = assembled()
    reported: list[str] = []
    kernel.listening("127.0.0.1:1")
    before = kernel.is_ready
    kernel.report_addresses(reported.append)
    assert (before, kernel.is_ready) == (False, True)
    kernel.listening("127.0.0.1:2")
    assert reported == ["127.0.0.1:1", "127.0.0.1:2"]


def test_a_task_needs_a_stack_that_runs(assembled: Assemble) -> None:
    with pytest.raises(RuntimeError, match="sweeper was started on a stack that does not run"):
        assembled().start_task(trio.sleep_forever, "sweeper")


def test_draining_twice_is_draining_once(assembled: Assemble) -> None:
    kernel = assembled()
    kernel.drain()
    kernel.drain()
    assert kernel.draining.is_set()
