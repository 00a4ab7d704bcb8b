"""The ``tapekit_register_*`` hooks, all of which are joined in one way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.hookspecs.data_engine import DataEngine
from tapekit.hookspecs.environment import Kind, Variable
from tapekit.hookspecs.media_changer import ChangerDriver
from tapekit.hookspecs.operations import NoReply, NoRequest, OfferedOperation, Operation
from tapekit.hookspecs.storage import SnapshotMethod
from tapekit.hookspecs.tape_driver import TapeDriver
from tapekit.hookspecs.transport import ControlTransport, DataTransport
from tapekit.kernel import StackKernel, StartErrors
from tapekit.kernel.offers import members

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


def thing(interface: type, naming: str, name: str) -> SimpleNamespace:
    """Something that has all that an interface demands, and a name."""
    return SimpleNamespace(**dict.fromkeys(members(interface)) | {naming: name})


def variable(name: str) -> Variable:
    return Variable(name=name, engine="dump", kind=Kind.TEXT, summary="for a test")


def operation(name: str) -> OfferedOperation:
    query = Operation(name=name, summary="for a test", request=NoRequest, reply=NoReply)

    async def perform(_request: NoRequest) -> NoReply:
        return NoReply()

    return query.performed_by(perform)


class Case(NamedTuple):
    """A hook, how to make what it offers, where the kernel keeps that, and
    what errors call it.
    """

    hook: str
    make: Callable[[str], Any]
    collected: Callable[[StackKernel], Mapping[str, Any]]
    kind: str


CASES = (
    Case(
        "tapekit_register_control_transports",
        lambda name: thing(ControlTransport, "name", name),
        lambda kernel: {one.name: one for one in kernel.control_transports},
        "control transport",
    ),
    Case(
        "tapekit_register_data_transports",
        lambda name: thing(DataTransport, "kind", name),
        lambda kernel: kernel.data_transports,
        "data transport",
    ),
    Case(
        "tapekit_register_snapshot_methods",
        lambda name: thing(SnapshotMethod, "name", name),
        lambda kernel: kernel.snapshot_methods,
        "snapshot method",
    ),
    Case(
        "tapekit_register_data_engines",
        lambda name: thing(DataEngine, "name", name),
        lambda kernel: kernel.engines,
        "data engine",
    ),
    Case(
        "tapekit_register_tape_drivers",
        lambda name: thing(TapeDriver, "scheme", name),
        lambda kernel: kernel.tape_drivers,
        "tape driver",
    ),
    Case(
        "tapekit_register_operations",
        operation,
        lambda kernel: kernel.operations,
        "offered operation",
    ),
    Case(
        "tapekit_register_changer_drivers",
        lambda name: thing(ChangerDriver, "scheme", name),
        lambda kernel: kernel.changer_drivers,
        "changer driver",
    ),
    Case(
        "tapekit_register_environment_variables",
        variable,
        lambda kernel: {row.name: row for row in kernel.variables("dump")},
        "variable",
    ),
)

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.hook)


def test_results_are_joined_in_dependency_order(
    case: Case, plugin: MakePlugin, assembled: Assemble
) -> None:
    one, two, three = case.make("one"), case.make("two"), case.make("three")
    kernel = assembled(
        plugin("late", requires=("early",), **{case.hook: lambda self: (three,)}),
        plugin("early", **{case.hook: lambda self: iter([one, two])}),
        plugin("empty", **{case.hook: lambda self: ()}),
    )
    assert list(case.collected(kernel).items()) == [("one", one), ("two", two), ("three", three)]


def test_the_hook_is_called_once(case: Case, plugin: MakePlugin, assembled: Assemble) -> None:
    calls: list[str] = []

    def offer(self: Any) -> tuple[Any, ...]:
        calls.append(case.hook)
        return (case.make("one"),)

    kernel = assembled(plugin("a", **{case.hook: offer}))
    assert list(case.collected(kernel)) == list(case.collected(kernel)) == ["one"]
    assert calls == [case.hook]


def test_a_name_offered_twice_stops_the_start(
    case: Case, plugin: MakePlugin, assembled: Assemble
) -> None:
    with pytest.raises(StartErrors) as refused:
        assembled(
            plugin("first", **{case.hook: lambda self: (case.make("one"),)}),
            plugin("second", **{case.hook: lambda self: (case.make("one"), case.make("two"))}),
        )
    (error,) = refused.value.errors
    assert error.id == "core.duplicate-name"
    assert error.facts["kind"] == case.kind
    assert (error.facts["first"], error.facts["second"]) == ("first", "second")
    assert "one" in str(error)


def test_an_error_is_told_with_those_of_other_plugins(
    case: Case, plugin: MakePlugin, assembled: Assemble
) -> None:
    def fail(self: Any) -> object:
        raise OSError("no such device")

    with pytest.raises(StartErrors) as refused:
        assembled(
            plugin("first", **{case.hook: fail}),
            plugin("second", **{case.hook: lambda self: 3}),
            plugin("third", **{case.hook: lambda self: (case.make("one"), object())}),
        )
    assert [(error.id, error.facts["plugin"]) for error in refused.value.errors] == [
        ("core.plugin-failed", "first"),
        ("core.plugin-failed", "second"),
        ("core.incomplete-offer", "third"),
    ]
    assert f"failed in {case.hook}: OSError: no such device" in str(refused.value)


def test_without_offers_there_is_nothing(
    case: Case, plugin: MakePlugin, assembled: Assemble
) -> None:
    assert not case.collected(assembled(plugin("idle")))
