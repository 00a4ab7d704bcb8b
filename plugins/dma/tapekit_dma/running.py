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
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["run_to_end"]

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run_to_end(work: Callable[[], Awaitable[T]], settled: Sequence[T] = ()) -> T:
    """Do the work in a trio of its own.

    :param settled: where the work puts its result once that stands; what ends
        the work later changes nothing of it.
    :raises TapekitError: what it raises, or that it was interrupted.
    :raises sqlite3.Error: the catalogue is damaged; whoever has opened it
        explains that.
    """
    return trio.run(_heeding, work, settled)


async def _heeding(work: Callable[[], Awaitable[T]], settled: Sequence[T]) -> T:
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
    if results or settled:
        return (*results, *settled)[0]
    if failure is not None:
        raise failure
    assert interruption is not None
    raise CATALOGUE.error("interrupted", signal=interruption.name)
