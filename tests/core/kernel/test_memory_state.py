from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tapekit.kernel.memory_state import MemoryStateStore

KEYS = st.text(st.sampled_from("ab/"), max_size=3)
CHANGES = st.lists(st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=4))


def test_nothing_is_remembered_at_first() -> None:
    store = MemoryStateStore()
    assert store.get("dump.dates", "vol1") is None
    assert store.items("dump.dates") == {}


def test_namespaces_are_apart() -> None:
    store = MemoryStateStore()
    store.change("one", {"key": b"1"})
    assert store.get("two", "key") is None


@given(changes=CHANGES, prefix=KEYS)
def test_the_store_is_a_sorted_dictionary(
    changes: list[dict[str, bytes | None]], prefix: str
) -> None:
    store, model = MemoryStateStore(), dict[str, bytes]()
    for change in changes:
        store.change("n", change)
        for key, value in change.items():
            model.pop(key, None)
            if value is not None:
                model[key] = value
    expected = {key: model[key] for key in sorted(model) if key.startswith(prefix)}
    assert list(store.items("n", prefix).items()) == list(expected.items())
    assert all(store.get("n", key) == value for key, value in model.items())


def test_what_was_given_out_does_not_change() -> None:
    store = MemoryStateStore()
    store.change("n", {"key": b"1"})
    items = store.items("n")
    store.change("n", {"key": None})
    assert items == {"key": b"1"}
