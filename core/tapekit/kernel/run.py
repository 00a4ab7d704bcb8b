"""Running a stack: one nursery, contexts in order, draining at the end.

The contexts of ``tapekit_run`` are entered in dependency order and left in
the reverse one, in a cancel scope of their own, so that a second signal or
the time limit ends their waiting but nothing else. The one rule: whatever
happens, every context that was entered is left.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tapekit.kernel.stack_kernel import StackKernel

__all__ = ["run"]

_LOG: Final = logging.getLogger("tapekit.kernel")


async def run(
    kernel: StackKernel, stop: AsyncIterator[object], listening: Callable[[str], None]
) -> None:
    """Run a stack until it has drained.

    :param stop: the first item (a signal) drains the stack; the second one
        cancels the jobs that still run.
    :param listening: gets each address that accepts connections, after all
        plugins are ready.
    :raises BaseExceptionGroup: what ended the stack, from contexts and tasks.
    """
    async with trio.open_nursery() as nursery:
        kernel.attach(nursery)
        patience = trio.CancelScope()
        nursery.start_soon(_heed, stop, kernel, patience)
        nursery.start_soon(_limit, kernel, patience)
        with patience:
            async with contextlib.AsyncExitStack() as entered:
                await _work(kernel, entered, listening)
        if patience.cancelled_caught:
            _LOG.warning("jobs that still ran were cancelled")
        _LOG.info("stopped")
        nursery.cancel_scope.cancel()


async def _work(
    kernel: StackKernel, entered: contextlib.AsyncExitStack, listening: Callable[[str], None]
) -> None:
    """Enter all contexts, and wait for the drain to begin."""
    try:
        for name, context in kernel.contexts():
            await entered.enter_async_context(context)
            _LOG.debug('plugin "%s" is ready', name)
        kernel.report_addresses(listening)
        await kernel.draining.wait()
    finally:
        # The exits may rely on it, whatever made them begin.
        kernel.drain()


async def _heed(
    stop: AsyncIterator[object], kernel: StackKernel, patience: trio.CancelScope
) -> None:
    async for _ in stop:
        if kernel.draining.is_set():
            patience.cancel()
        else:
            _LOG.info("draining: running jobs may end; once more to cancel them")
            kernel.drain()


async def _limit(kernel: StackKernel, patience: trio.CancelScope) -> None:
    await kernel.draining.wait()
    patience.deadline = trio.current_time() + kernel.drain_timeout_s
