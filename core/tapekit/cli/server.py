"""``tapekit serve``: a stack that runs until a signal drains it."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

import trio

from tapekit.errors import StartErrors, TapekitError
from tapekit.kernel import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.cli.shell import Shell
    from tapekit.kernel import StackKernel

__all__ = ["serve"]

_LOG: Final = logging.getLogger("tapekit.kernel")

_SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread that comes back from the disk or the network waits for
the interpreter at most. With Python's 5 ms, backups of small files in memory
took a tenth longer (medians of five).
"""


def serve(shell: Shell, kernel: StackKernel) -> int:
    """Run a stack until SIGTERM or SIGINT, and print where it listens.

    :returns: the exit status: 0 after a drain, 1 if an error ended it.
    :raises StartErrors: it never became ready.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        trio.run(_serve, shell, kernel)
    except BaseExceptionGroup as group:
        return _ended(shell, kernel, group)
    return 0


async def _serve(shell: Shell, kernel: StackKernel) -> None:
    def listening(address: str) -> None:
        # Whoever waits for this line must not wait for a full buffer.
        shell.out.say(f"listening on {address}")
        shell.out.console.file.flush()

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        await run(kernel, signals, listening)


def _ended(shell: Shell, kernel: StackKernel, group: BaseExceptionGroup[BaseException]) -> int:
    leaves = list(_leaves(group))
    errors = [error for error in leaves if isinstance(error, TapekitError)]
    if len(errors) < len(leaves):
        _LOG.critical("an error in the code ended the stack", exc_info=group)
    elif not kernel.is_ready:
        raise StartErrors(errors) from group
    shell.complain(errors)
    return 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
