"""Who may use a reserved device, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.reservations import OutAction, OutList, ReservationType
from tapekit_vtape.reservation_rules import (
    FREE,
    DeviceState,
    admit,
    changed,
    released,
    reserved,
    reset,
    told,
)
from tapekit_vtape.target import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

EXCLUSIVE = ReservationType.EXCLUSIVE_ACCESS
NAMES = ("a", "b", "c")


def out(
    state: DeviceState, who: str, action: int, key: int = 0, service: int = 0, kind: int = EXCLUSIVE
) -> DeviceState:
    return changed(state, who, "v.0", action, OutList(key, service), kind)


def registered(**keys: int) -> DeviceState:
    state = FREE
    for name, key in keys.items():
        state = out(state, name, OutAction.REGISTER, 0, key)
    return state


def may(state: DeviceState, who: str, command: str) -> bool:
    try:
        admit(state, who, command, "v.0")
    except TapeError as error:
        return error.condition is not Condition.RESERVED
    return True


def is_refused(state: DeviceState, who: str, action: int, **values: int) -> bool:
    with pytest.raises(TapeError) as caught:
        out(state, who, action, **values)
    return caught.value.condition is Condition.RESERVED


def refusals(state: DeviceState, who: str) -> Iterator[str]:
    for command in ("INQUIRY", "TEST UNIT READY", "READ(6)", "WRITE(6)", "RESERVE(6)"):
        if not may(state, who, command):
            yield command


def test_a_simple_reservation_leaves_others_nearly_nothing() -> None:
    state = reserved(FREE, "a", "v.0")
    assert list(refusals(state, "a")) == []
    assert list(refusals(state, "b")) == ["TEST UNIT READY", "READ(6)", "WRITE(6)", "RESERVE(6)"]
    assert not may(state, "b", "PERSISTENT RESERVE OUT")
    assert released(state, "b") == state
    assert list(refusals(released(state, "a"), "b")) == []


def test_a_reset_ends_a_simple_reservation_and_no_other() -> None:
    simple = reset(reserved(FREE, "a", "v.0"))
    assert may(simple, "b", "WRITE(6)")
    keyed = reset(out(registered(a=1), "a", OutAction.RESERVE, 1))
    assert not may(keyed, "b", "WRITE(6)")
    assert (simple.resets, keyed.resets) == (1, 1)


def test_whoever_registers_has_chosen_against_simple_reservations() -> None:
    with pytest.raises(TapeError):
        reserved(registered(a=1), "b", "v.0")


@pytest.mark.parametrize(
    ("kind", "stranger", "registrant"),
    [
        (1, ["WRITE(6)", "RESERVE(6)"], ["WRITE(6)", "RESERVE(6)"]),
        (3, ["READ(6)", "WRITE(6)", "RESERVE(6)"], ["READ(6)", "WRITE(6)", "RESERVE(6)"]),
        (5, ["WRITE(6)", "RESERVE(6)"], []),
        (6, ["READ(6)", "WRITE(6)", "RESERVE(6)"], []),
        (7, ["WRITE(6)", "RESERVE(6)"], []),
        (8, ["READ(6)", "WRITE(6)", "RESERVE(6)"], []),
    ],
)
def test_types_of_persistent_reservations(
    kind: int, stranger: list[str], registrant: list[str]
) -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1, kind=kind)
    assert list(refusals(state, "a")) == []
    assert list(refusals(state, "b")) == registrant
    assert list(refusals(state, "c")) == stranger
    assert may(state, "c", "PERSISTENT RESERVE IN")
    assert may(state, "c", "PERSISTENT RESERVE OUT")


def test_a_key_is_registered_changed_and_taken_back() -> None:
    state = registered(a=1)
    assert is_refused(state, "a", OutAction.REGISTER, key=2, service=3)
    assert is_refused(state, "b", OutAction.REGISTER, key=1, service=3)
    state = out(state, "a", OutAction.REGISTER, 1, 9)
    assert state.registered == (2, (9,))
    state = out(state, "a", OutAction.REGISTER_AND_IGNORE, 0, 7)
    assert state.registered == (3, (7,))
    state = out(state, "a", OutAction.REGISTER, 7, 0)
    assert state.registered == (4, ())
    assert out(state, "a", OutAction.REGISTER, 0, 0) == state


def test_only_who_has_registered_reserves() -> None:
    assert is_refused(FREE, "a", OutAction.RESERVE, key=0)
    assert is_refused(registered(a=1), "a", OutAction.RESERVE, key=2)
    assert is_refused(registered(a=1), "b", OutAction.CLEAR, key=1)


def test_a_reservation_is_one() -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1)
    assert out(state, "a", OutAction.RESERVE, 1) == state
    assert is_refused(state, "a", OutAction.RESERVE, key=1, kind=1)
    assert is_refused(state, "b", OutAction.RESERVE, key=2)


def test_a_release_is_the_holders_and_of_its_type() -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1)
    assert out(state, "b", OutAction.RELEASE, 2) == state
    with pytest.raises(Refusal) as caught:
        out(state, "a", OutAction.RELEASE, 1, kind=1)
    assert str(caught.value.sense).startswith("5/26/04")
    freed = out(state, "a", OutAction.RELEASE, 1)
    assert not freed.is_reserved
    assert freed.news == {}, "nobody else could use it"


def test_registrants_are_told_of_a_release_and_once() -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1, kind=6)
    state = out(state, "a", OutAction.REGISTER, 1, 0)
    assert not state.is_reserved, "it went with the key of its holder"
    assert state.news == {"b": ((0x2A, 0x04),)}
    assert told(state, "b").news == {}


def test_all_who_registered_hold_a_reservation_to_the_last() -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1, kind=8)
    state = out(state, "a", OutAction.REGISTER, 1, 0)
    assert state.holds("b")
    assert not state.holds("a")
    assert state.reservation == (state.generation, 0, 8)
    assert not out(state, "b", OutAction.REGISTER, 2, 0).is_reserved


def test_clearing_takes_everything_from_all() -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1)
    state = out(state, "b", OutAction.CLEAR, 2)
    assert state.registered.keys == ()
    assert not state.is_reserved
    assert state.news == {"a": ((0x2A, 0x03),)}


@pytest.mark.parametrize("action", [OutAction.PREEMPT, OutAction.PREEMPT_AND_ABORT])
def test_a_reservation_is_preempted_by_its_key(action: int) -> None:
    state = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1)
    state = out(state, "b", action, 2, 1, kind=1)
    assert state.holder == "b"
    assert state.type == 1
    assert state.registered.keys == (2,)
    assert state.news == {"a": ((0x2A, 0x05),)}
    assert not may(state, "a", "WRITE(6)")


def test_preempting_others_leaves_the_reservation() -> None:
    state = out(registered(a=1, b=2, c=2), "a", OutAction.RESERVE, 1)
    state = out(state, "a", OutAction.PREEMPT, 1, 2)
    assert state.holder == "a"
    assert state.keys == {"a": 1}
    assert set(state.news) == {"b", "c"}
    assert is_refused(state, "a", OutAction.PREEMPT, key=1, service=2)


def test_a_reservation_of_all_is_preempted_with_no_key() -> None:
    state = out(registered(a=1, b=2, c=3), "a", OutAction.RESERVE, 1, kind=7)
    with pytest.raises(Refusal):
        out(registered(a=1), "a", OutAction.PREEMPT, 1, 0)
    some = out(state, "b", OutAction.PREEMPT, 2, 3)
    assert (some.keys, some.type) == ({"a": 1, "b": 2}, 7)
    state = out(state, "b", OutAction.PREEMPT, 2, 0)
    assert (state.keys, state.holder, state.type) == ({"b": 2}, "b", EXCLUSIVE)


@pytest.mark.parametrize(
    ("action", "wanted", "kind", "sense"),
    [
        (7, OutList(1, 2), 3, "5/24/00"),
        (31, OutList(1, 2), 3, "5/24/00"),
        (OutAction.RESERVE, OutList(1), 2, "5/24/00"),
        (OutAction.RESERVE, OutList(1), 0, "5/24/00"),
        (OutAction.REGISTER, OutList(1, 2, names_others=True), 3, "5/26/00"),
    ],
)
def test_what_is_not_in_order_is_refused(
    action: int, wanted: OutList, kind: int, sense: str
) -> None:
    with pytest.raises(Refusal) as caught:
        changed(registered(a=1), "a", "v.0", action, wanted, kind)
    assert str(caught.value.sense).startswith(sense)


def test_registrations_have_an_end() -> None:
    state = registered(**{f"n{number}": 1 for number in range(256)})
    with pytest.raises(Refusal) as caught:
        out(state, "one more", OutAction.REGISTER, 0, 1)
    assert str(caught.value.sense) == "5/55/04"


@given(st.integers(0, 40), st.integers(0, 3), st.integers(0, 3), st.integers(0, 15))
def test_whoever_is_refused_has_changed_nothing(
    action: int, key: int, service: int, kind: int
) -> None:
    before = out(registered(a=1, b=2), "a", OutAction.RESERVE, 1)
    try:
        after = out(before, "b", action, key, service, kind)
    except (TapeError, Refusal):
        return
    assert after.generation >= before.generation


class Contention(RuleBasedStateMachine):
    """Anybody does anything; the state stays one that can be."""

    def __init__(self) -> None:
        super().__init__()
        self.state = FREE

    @rule(
        who=st.sampled_from(NAMES),
        action=st.sampled_from(list(OutAction)),
        service=st.integers(0, 4),
        kind=st.sampled_from(list(ReservationType)),
    )
    def persistent(self, who: str, action: int, service: int, kind: int) -> None:
        key = self.state.keys.get(who, 0)
        try:
            self.state = out(self.state, who, action, key, service, kind)
        except (TapeError, Refusal):
            return

    @rule(who=st.sampled_from(NAMES))
    def hears(self, who: str) -> None:
        self.state = told(self.state, who)
        assert who not in self.state.news

    @invariant()
    def a_reservation_has_a_registered_holder(self) -> None:
        assert (self.state.holder is None) == (self.state.type is None)
        if self.state.holder is not None:
            assert self.state.holder in self.state.keys
            assert self.state.holds(self.state.holder)

    @invariant()
    def exclusive_access_is_one_initiators(self) -> None:
        if self.state.type == EXCLUSIVE:
            assert [name for name in NAMES if may(self.state, name, "WRITE(6)")] == [
                self.state.holder
            ]


TestContention = Contention.TestCase
