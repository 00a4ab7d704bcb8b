"""The store checks over every state store, and over stores with one fault each."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.testing import check_state_store
from tapekit_state_sqlite.settings import StateSqliteSettings
from tapekit_state_sqlite.store import SqliteStateStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def test_store_in_memory_keeps_the_contract() -> None:
    check_state_store(MemoryStateStore)


def test_store_in_a_file_keeps_the_contract(tmp_path: Path) -> None:
    folders = (tmp_path / f"site{n}" for n in itertools.count())
    used: list[Path] = []

    with contextlib.ExitStack() as stores:

        def opened(folder: Path) -> SqliteStateStore:
            store = SqliteStateStore(StateSqliteSettings())
            store.settle(folder)
            stores.callback(store.close)
            return store

        def fresh() -> SqliteStateStore:
            used.append(next(folders))
            used[-1].mkdir()
            return opened(used[-1])

        check_state_store(fresh, reopen=lambda: opened(used[-1]))


class OneFault:
    """A right store; the subclasses do one thing wrong."""

    def __init__(self) -> None:
        self._store = MemoryStateStore()

    def get(self, namespace: str, key: str) -> bytes | None:
        return self._store.get(namespace, key)

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return self._store.items(namespace, prefix)

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        self._store.change(namespace, values)


class EmptyIsNothing(OneFault):
    def get(self, namespace: str, key: str) -> bytes | None:
        return super().get(namespace, key) or None


class OneNamespace(OneFault):
    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        super().change(namespace.rstrip("s"), values)

    def get(self, namespace: str, key: str) -> bytes | None:
        return super().get(namespace.rstrip("s"), key)

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return super().items(namespace.rstrip("s"), prefix)


class AnyOrder(OneFault):
    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return dict(reversed(super().items(namespace, prefix).items()))


class CaseIsLost(OneFault):
    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        found = super().items(namespace)
        return {k: v for k, v in found.items() if k.lower().startswith(prefix.lower())}


class RemovesOnlyWhatIsThere(OneFault):
    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        for key, value in values.items():
            if value is None and self.get(namespace, key) is None:
                raise AssertionError(f"no key {key}")
        super().change(namespace, values)


class KeyByKey(OneFault):
    """Another thread sees half of a change."""

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        found = super().items(namespace, prefix)
        if "right" in found:
            return {**found, "right": b"of an earlier change"}
        return found


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (EmptyIsNothing, "get of 'empty'"),
        (OneNamespace, "namespaces"),
        (AnyOrder, "in order"),
        (CaseIsLost, "prefix"),
        (RemovesOnlyWhatIsThere, "empty store"),
        (KeyByKey, "seen together"),
    ],
)
def test_a_fault_is_found_and_told(store: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_state_store(store)


def test_a_store_that_forgets_is_found() -> None:
    with pytest.raises(AssertionError, match="opened again"):
        check_state_store(MemoryStateStore, reopen=MemoryStateStore)
