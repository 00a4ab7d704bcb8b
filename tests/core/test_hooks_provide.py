"""The ``tapekit_provide_*`` hooks, each of which has at most one answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import Authenticator
from tapekit.hookspecs.mover import MoverFactory
from tapekit.hookspecs.operations import Feed, Management, NoReply, NoRequest, Operation
from tapekit.hookspecs.placement import Placement
from tapekit.hookspecs.state import StateStore
from tapekit.hookspecs.storage import Storage
from tapekit.hookspecs.tape_driver import TapeInventory
from tapekit.kernel import StackKernel, StartErrors
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.kernel.no_management import NoManagement
from tapekit.kernel.offers import members

if TYPE_CHECKING:
    from collections.abc import Callable

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]

CASES = {
    "tapekit_provide_authenticator": (Authenticator, lambda kernel: kernel.authenticator),
    "tapekit_provide_placement": (Placement, lambda kernel: kernel.placement),
    "tapekit_provide_storage": (Storage, lambda kernel: kernel.storage),
    "tapekit_provide_movers": (MoverFactory, lambda kernel: kernel.movers),
    "tapekit_provide_tape_inventory": (TapeInventory, lambda kernel: kernel.tape_inventory),
    "tapekit_provide_management": (Management, lambda kernel: kernel.management),
    "tapekit_provide_state_store": (StateStore, lambda kernel: kernel.state),
}

SUBSTITUTES: dict[type, type] = {StateStore: MemoryStateStore, Management: NoManagement}

each_hook = pytest.mark.parametrize(
    ("hook", "interface", "provided"),
    [pytest.param(hook, *case, id=hook) for hook, case in CASES.items()],
)


def complete(interface: type) -> SimpleNamespace:
    return SimpleNamespace(**dict.fromkeys(members(interface)))


@each_hook
def test_the_one_answer_is_taken(
    hook: str, interface: type, provided: Any, plugin: MakePlugin, assembled: Assemble
) -> None:
    answer = complete(interface)
    calls: list[str] = []

    def provide(self: Any) -> object:
        calls.append(hook)
        return answer

    kernel = assembled(
        plugin("silent", **{hook: lambda self: None}), plugin("a", **{hook: provide})
    )
    assert provided(kernel) is answer
    assert calls == [hook]


@each_hook
def test_a_second_answer_stops_the_start(
    hook: str, interface: type, provided: Any, plugin: MakePlugin, assembled: Assemble
) -> None:
    names = ("first", "second", "third")
    with pytest.raises(StartErrors) as refused:
        assembled(*(plugin(name, **{hook: lambda self: complete(interface)}) for name in names))
    assert [error.id for error in refused.value.errors] == ["core.duplicate-provider"] * 2
    told = [(error.facts["first"], error.facts["second"]) for error in refused.value.errors]
    assert told == [("first", "second"), ("first", "third")]


@each_hook
def test_an_incomplete_answer_stops_the_start(
    hook: str, interface: type, provided: Any, plugin: MakePlugin, assembled: Assemble
) -> None:
    with pytest.raises(StartErrors) as refused:
        assembled(plugin("hollow", **{hook: lambda self: object()}))
    (error,) = refused.value.errors
    assert error.id == "core.incomplete-offer"
    assert error.facts["missing"] == ", ".join(members(interface))


@each_hook
def test_an_error_stops_the_start(
    hook: str, interface: type, provided: Any, plugin: MakePlugin, assembled: Assemble
) -> None:
    def fail(self: Any) -> object:
        raise RuntimeError("broken")

    with pytest.raises(StartErrors, match=f"{hook}: RuntimeError: broken"):
        assembled(plugin("a", **{hook: fail}))


@each_hook
def test_without_an_answer_there_is_none_or_a_substitute(
    hook: str, interface: type, provided: Any, plugin: MakePlugin, assembled: Assemble
) -> None:
    found = provided(assembled(plugin("idle")))
    if interface in SUBSTITUTES:
        assert isinstance(found, SUBSTITUTES[interface])
    else:
        assert found is None


def test_without_management_every_call_says_what_to_enable(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    kernel = assembled(plugin("idle"))
    query = Operation(name="a.b", summary="", request=NoRequest, reply=NoReply)
    with pytest.raises(TapekitError, match=r"no way to reach its running server, which a\.b") as no:
        kernel.management.call(query, NoRequest())
    assert no.value.id == "core.no-management"
    feed = Feed(name="a.c", summary="", request=NoRequest, reply=NoReply)
    with pytest.raises(TapekitError, match=r"which a\.c needs"):
        kernel.management.follow(feed, NoRequest())


def test_forgetful_state_is_warned_of(
    plugin: MakePlugin, assembled: Assemble, caplog: pytest.LogCaptureFixture
) -> None:
    assembled(plugin("idle"))
    assert "no plugin keeps state" in caplog.text
    caplog.clear()
    assembled(plugin("keeper", tapekit_provide_state_store=lambda self: MemoryStateStore()))
    assert not caplog.records
