"""The limit on attempts: how long a reply to a login waits.

Attempts are counted for each user and peer together, so that nobody can
lock somebody else out from another machine. The first two may fail at
once; from the third on the reply waits, whether it is a yes or a no, for
else the time would tell which. The one rule: the table has a bound, and
what does not fit drives out what is oldest.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple, final

__all__ = ["Attempts"]

_FREE_FAILURES: Final = 2
_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 30.0
_DOUBLINGS: Final = 5
"""After so many the longest delay has been passed; keeps the power small."""

_FORGET_AFTER_S: Final = 15 * 60
_CAPACITY: Final = 4096


class _Failures(NamedTuple):
    number: int
    last_s: float


@final
class Attempts:
    """Failed attempts of the last quarter of an hour.

    Times are seconds of any steady clock; ``capacity`` bounds the table.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity: Final = capacity
        # The order is that of the last failure.
        self._failures: Final[OrderedDict[bytes, _Failures]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def delay_s(self, user: str, peer: str, now_s: float) -> float:
        """How long the reply to an attempt made now has to wait."""
        extra = self._count(_key(user, peer), now_s) - _FREE_FAILURES
        if extra < 0:
            return 0.0
        return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * (1 << min(extra, _DOUBLINGS)))

    def failed(self, user: str, peer: str, now_s: float) -> None:
        """Count an attempt that failed now."""
        key = _key(user, peer)
        self._failures[key] = _Failures(self._count(key, now_s) + 1, now_s)
        self._failures.move_to_end(key)
        self._forget(now_s)

    def succeeded(self, user: str, peer: str) -> None:
        """Forget the failures of somebody who has proved to be the user."""
        self._failures.pop(_key(user, peer), None)

    def _count(self, key: bytes, now_s: float) -> int:
        failures = self._failures.get(key)
        if failures is None or now_s - failures.last_s >= _FORGET_AFTER_S:
            return 0
        return failures.number

    def _forget(self, now_s: float) -> None:
        while self._failures:
            oldest = next(iter(self._failures.values()))
            is_recent = now_s - oldest.last_s < _FORGET_AFTER_S
            if is_recent and len(self._failures) <= self._capacity:
                return
            self._failures.popitem(last=False)


def _key(user: str, peer: str) -> bytes:
    """As long for any name that a client sends."""
    text = f"{len(user)} {user} {peer}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()
