"""Whether a store keeps the contract of :class:`StateStore`.

Values go in and come out, in one thread and in several, and over a reopen
where the store has one. The one rule: what a call acknowledged is there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tapekit.errors import TapekitError
from tapekit.testing.expecting import Background, expect_equal, title

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.state import StateStore

__all__ = ["check_state_store"]

_SPACE: Final = "testing.values"
_OTHER: Final = "testing.value"
"""A namespace that another one begins with."""

_THREADS: Final = 4
_CHANGES: Final = 25

_VALUES: Final = {
    "": b"the empty key",
    "empty": b"",
    "zero": b"\0",
    "text": "Käse".encode(),
    "binary": bytes(range(256)),
    "large": b"\xff\0" * (1 << 19),
    "key with a space, a % and a ' in it": b"1",
    "Schlüssel \U0001f4fc": b"2",
}


def check_state_store(
    make_store: Callable[[], StateStore], *, reopen: Callable[[], StateStore] | None = None
) -> None:
    """Claim everything that the contract of :class:`StateStore` promises.

    :param make_store: a fresh, empty store at each call.
    :param reopen: opens the store again that ``make_store`` gave last, as
        after a restart; left out for a store that only lives in memory.
    :raises AssertionError: naming the first claim that does not hold.
    """
    for check in _CHECKS:
        try:
            check(make_store())
        except (AssertionError, TapekitError) as error:
            raise AssertionError(f"{title(check)}: {error}") from error
    if reopen is not None:
        _check_reopened(make_store(), reopen)


def _empty_store(store: StateStore) -> None:
    """A new store has nothing, and can be asked and told to forget it."""
    expect_equal(store.get(_SPACE, "nothing"), None, "get of a key that was never set")
    expect_equal(dict(store.items(_SPACE)), {}, "items of a namespace that was never used")
    store.change(_SPACE, {"nothing": None})
    store.change(_SPACE, {})
    expect_equal(dict(store.items(_SPACE)), {}, "items after removing what was not there")


def _values_come_back(store: StateStore) -> None:
    """Any bytes under any key come back as they were."""
    store.change(_SPACE, _VALUES)
    for key, value in _VALUES.items():
        expect_equal(store.get(_SPACE, key), value, f"get of {key!r}")
    expect_equal(dict(store.items(_SPACE)), _VALUES, "items of the namespace")
    expect_equal(list(store.items(_SPACE)), sorted(_VALUES), "keys of items, in order")


def _changes(store: StateStore) -> None:
    """A change sets, replaces and removes, and leaves the rest alone."""
    store.change(_SPACE, {"a": b"1", "b": b"2", "c": b"3"})
    store.change(_SPACE, {"a": b"9", "b": None, "d": b"4"})
    expect_equal(
        dict(store.items(_SPACE)), {"a": b"9", "c": b"3", "d": b"4"}, "items after a change"
    )
    expect_equal(store.get(_SPACE, "b"), None, "get of a removed key")


def _namespaces(store: StateStore) -> None:
    """Namespaces do not see each other."""
    store.change(_SPACE, {"key": b"one"})
    store.change(_OTHER, {"key": b"two", "s.key": b"three"})
    expect_equal(store.get(_SPACE, "key"), b"one", f"get in {_SPACE}")
    expect_equal(store.get(_OTHER, "key"), b"two", f"get in {_OTHER}")
    expect_equal(dict(store.items(_SPACE)), {"key": b"one"}, f"items of {_SPACE}")
    store.change(_OTHER, {"key": None})
    expect_equal(store.get(_SPACE, "key"), b"one", f"get in {_SPACE} after a change in {_OTHER}")


def _prefixes(store: StateStore) -> None:
    """A prefix is taken as it is written, and the answer is in key order."""
    keys = (
        *("/vs1/vol1", "/vs1/vol1/a", "/vs1/vol10", "/vs1/vol_", "/vs1/volx", "/VS1/vol1"),
        *("%", "%x", "a%", "a\uffff", "a\U0010ffff", "a\U0010ffffb", "b", "[a]", "*", "a*"),
    )
    store.change(_SPACE, {key: key.encode() for key in keys})
    for prefix in ("", "/vs1/vol1", "/vs1/vol1/", "/vs1/vol_", "%", "a", "a\U0010ffff", "[", "*"):
        wanted = sorted(key for key in keys if key.startswith(prefix))
        expect_equal(list(store.items(_SPACE, prefix)), wanted, f"items with prefix {prefix!r}")


def _change_while_reading(store: StateStore) -> None:
    """What items gave can be walked while the store changes."""
    store.change(_SPACE, {f"{n:03}": b"x" for n in range(50)})
    for key in store.items(_SPACE):
        store.change(_SPACE, {key: None})
    expect_equal(dict(store.items(_SPACE)), {}, "items after each was removed while walking")


def _threads(store: StateStore) -> None:
    """Changes from several threads are all there, each of them whole."""

    def work(thread: int) -> None:
        for n in range(_CHANGES):
            value = f"{thread}.{n}".encode()
            store.change(_SPACE, {f"own-{thread}-{n}": value, "left": value, "right": value})
            found = store.items(_SPACE)
            expect_equal(found["left"], found["right"], "two values of one change, seen together")

    running = [Background(partial(work, n), "changes in a thread") for n in range(_THREADS)]
    for thread in running:
        thread.result()
    expect_equal(len(store.items(_SPACE, "own-")), _THREADS * _CHANGES, "values of all threads")


def _check_reopened(store: StateStore, reopen: Callable[[], StateStore]) -> None:
    """What was acknowledged before the reopen is there after it."""
    store.change(_SPACE, {**_VALUES, "removed": b"x"})
    store.change(_SPACE, {"removed": None})
    expect_equal(dict(reopen().items(_SPACE)), _VALUES, "items after the store was opened again")


_CHECKS: Final[tuple[Callable[[StateStore], None], ...]] = (
    _empty_store,
    _values_come_back,
    _changes,
    _namespaces,
    _prefixes,
    _change_while_reading,
    _threads,
)
