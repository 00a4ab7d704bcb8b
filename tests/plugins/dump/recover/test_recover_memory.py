"""What is kept of a destination between two levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_dump.recover_memory import NAMESPACE, PAGES_NAMESPACE, KnownName, RestoreMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/vs1/vol1/back"
NAMES = st.builds(
    KnownName,
    st.integers(2, 2**32 - 1),
    st.integers(2, 2**32 - 1),
    st.binary(min_size=1, max_size=255),
    st.booleans(),
)


def many(count: int) -> Iterator[KnownName]:
    return (KnownName(number, 2, b"name %d" % number, False) for number in range(3, 3 + count))


def kept(memory: RestoreMemory) -> list[KnownName]:
    restored = memory.restored
    assert restored is not None
    return list(memory.names(restored))


@given(st.lists(NAMES))
def test_names_come_back_in_their_order(names: list[KnownName]) -> None:
    memory = RestoreMemory(MemoryStateStore(), PATH)
    memory.keep(1000, names)
    assert memory.restored is not None
    assert memory.restored.date == 1000
    assert kept(memory) == names


def test_names_can_be_kept_while_those_before_are_read() -> None:
    state = MemoryStateStore()
    memory = RestoreMemory(state, PATH)
    memory.keep(1000, many(30_000))
    memory.keep(1000, (known for known in kept(memory) if known.number % 2))
    assert [known.number for known in kept(memory)] == list(range(3, 30_003, 2))
    assert len(state.items(PAGES_NAMESPACE)) == 2


def test_what_is_forgotten_leaves_nothing() -> None:
    state = MemoryStateStore()
    memory = RestoreMemory(state, PATH)
    memory.forget()
    memory.keep(1000, many(10))
    RestoreMemory(state, PATH + "2").keep(1000, many(10))
    memory.forget()
    assert memory.restored is None
    assert list(state.items(NAMESPACE)) == [PATH + "2"]
    assert len(state.items(PAGES_NAMESPACE)) == 1


@pytest.mark.requirement("R274")
def test_nothing_is_known_of_a_volume_whose_type_has_changed() -> None:
    state = MemoryStateStore()
    RestoreMemory(state, PATH, 1).keep(1000, many(10))
    assert RestoreMemory(state, PATH, 1).restored is not None
    memory = RestoreMemory(state, PATH, 2)
    assert memory.restored is None
    memory.keep(2000, many(10))
    assert RestoreMemory(state, PATH, 1).restored is None
    assert len(state.items(PAGES_NAMESPACE)) == 1


@pytest.mark.parametrize("harm", [None, b"", b"no page"])
def test_names_that_are_not_all_there_are_refused(harm: bytes | None) -> None:
    state = MemoryStateStore()
    memory = RestoreMemory(state, PATH)
    memory.keep(1000, many(10_000))
    state.change(PAGES_NAMESPACE, {f"{PATH}\n0/1": harm})
    with pytest.raises(TapekitError, match=f"dump of 1000 to {PATH} cannot be used") as refused:
        kept(memory)
    assert refused.value.id == "dump.restore-memory-damaged"
