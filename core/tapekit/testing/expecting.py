"""Claims that need no test framework and survive ``python -O``.

A conformance check states a claim in words and gives what it saw; the text
of the :class:`AssertionError` is all that the author of a plugin gets to
see, so it names the method, the situation and both values. The one rule: a
claim that does not hold raises, whatever the interpreter's flags.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE_S", "Background", "expect", "expect_equal", "expect_raises", "title"]

PATIENCE_S: Final = 20.0
"""Seconds after which a call that should have returned counts as stuck;
generous, since only failures wait that long."""

_STILL_BLOCKED_S: Final = 0.05
"""Seconds for which a call that must block is watched not to return."""

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def title(check: Callable[..., object]) -> str:
    """The name of a check in words, for the beginning of a message."""
    return check.__name__.strip("_").replace("_", " ")


def expect(claim: object, text: str) -> None:
    """Raise with ``text`` unless the claim is true.

    :raises AssertionError: it is not.
    """
    if not claim:
        raise AssertionError(text)


def expect_equal(got: object, wanted: object, what: str) -> None:
    """Raise unless two values are equal; ``what`` names the first.

    :raises AssertionError: they differ.
    """
    if got != wanted:
        raise AssertionError(f"{what}: {_shown(got)}, expected {_shown(wanted)}")


def expect_raises(kind: type[E], call: Callable[[], object], what: str) -> E:
    """Give the error of class ``kind`` that ``call`` must raise.

    :raises AssertionError: it returned, or raised something else.
    """
    try:
        result = call()
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what}: raised {error!r}, expected {kind.__name__}") from error
    raise AssertionError(f"{what}: returned {_shown(result)}, expected {kind.__name__}")


def _shown(value: object) -> str:
    """A value in few words; long bytes by length and beginning."""
    if isinstance(value, bytes | bytearray | memoryview) and len(value) > 48:
        return f"{len(value)} bytes beginning {bytes(value[:32])!r}"
    return repr(value)


@final
class Background(Generic[T]):
    """A call that runs in a thread, so that a check can see it block.

    The thread is a daemon: a call that never returns fails the check and
    does not keep the interpreter alive.
    """

    def __init__(self, call: Callable[[], T], what: str, *, patience_s: float = PATIENCE_S) -> None:
        self._call: Final = call
        self._what: Final = what
        self._patience_s: Final = patience_s
        self._ended: Final = threading.Event()
        self._value: T
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=what, daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error
        finally:
            self._ended.set()

    def expect_blocked(self) -> None:
        """Raise unless the call is still running.

        :raises AssertionError: it has returned or raised.
        """
        expect(not self._ended.wait(_STILL_BLOCKED_S), f"{self._what}: did not wait")

    def result(self) -> T:
        """What the call returned; raises what it raised.

        :raises AssertionError: it is stuck.
        """
        is_over = self._ended.wait(self._patience_s)
        expect(is_over, f"{self._what}: stuck for {self._patience_s:g} s")
        if self._error is not None:
            raise self._error
        return self._value
