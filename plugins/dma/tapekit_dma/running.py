"""Runs what takes long, unless a signal ends it early.

The one rule: a signal cancels the run, which makes all servers idle and the
catalogue true, before the command ends.
"""

from __future__ import annotations

import signal
import sqlite3
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from tapekit.errors import TapekitError
from tapekit_dma.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["run_to_end"]

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_to_end(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work in a trio of its own.

    :raises TapekitError: what it raises, or that it was interrupted.
    :raises sqlite3.Error: the catalogue is damaged; whoever has opened it
        explains that.
    """
    return trio.run(_heeding, work)


async def _heeding(work: Callable[[], Awaitable[T]]) -> T:
    results: list[T] = []
    failure: TapekitError | sqlite3.Error | None = None
    interruption: signal.Signals | None = None
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:

            async def heed() -> None:
                nonlocal interruption
                async for number in signals:
                    interruption = signal.Signals(number)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(heed)
            try:
                results.append(await work())
            except (TapekitError, sqlite3.Error) as error:
                failure = error
            nursery.cancel_scope.cancel()
    if results:
        return results[0]
    if failure is not None:
        raise failure
    assert interruption is not None
    raise CATALOGUE.error("interrupted", signal=interruption.name)
