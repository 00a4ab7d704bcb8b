"""A stack of two aggregates, with a volume that can move from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from movement_stack import BACK, LIMIT_S, SOURCE, storage_of, typed

from session_stack import clock, new_site, serving
from tapekit.kernel import assemble, installed
from tapekit_volume_move.operations import WAIT, VolumeRequest
from tapekit_volume_move.records import Move

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack

VSERVER, VOLUME = SOURCE.strip("/").split("/")
WHICH = f"-vserver {VSERVER} -volume {VOLUME}"
COPY = "/vs1/copy"
"""Where restores go."""
PLUGINS = ("smtape", "snapext", "snapmirror", "volume_move")


def with_two_aggregates(text: str) -> str:
    """An edit of a stack file."""
    text = text.replace("[transport_tcp]\n", "[transport_tcp]\nring_buffers = 2\n")
    for plugin in PLUGINS:
        if f'    "{plugin}",' not in text:
            text = text.replace('    "dump",\n', f'    "dump",\n    "{plugin}",\n')
    return (
        f'{text}\n[[volumes.volume]]\npath = "{COPY}"\ndirectory = "copy"\n'
        f'\n[[volumes.volume]]\npath = "{BACK}"\ndirectory = "back"\n'
        'type = "dp"\nsnapshots = "copy"\n'
        '\n[[volumes.aggregate]]\nname = "aggr2"\npath = "aggr2"\n'
    )


def move_stack(directory: Path) -> AbstractAsyncContextManager[ServedStack]:
    """The stack, served, for the first time or again."""
    file = directory / "tapekit.toml"
    if not file.exists():
        for folder in ("aggr2", "back", "copy"):
            (directory / folder).mkdir(parents=True)
        new_site(directory, with_two_aggregates)
    return serving(directory, assemble(file, installed(), clock=clock))


def place(stack: ServedStack) -> Path:
    """Where the volume is now."""
    return storage_of(stack).volume(SOURCE).directory


async def start(stack: ServedStack, *more: str) -> Move:
    """What ``tapekit volume move start`` tells, without waiting."""
    line = f"volume move start {WHICH} -destination-aggregate aggr2 --json"
    return msgspec.json.decode(await typed(stack, " ".join((line, *more))), type=Move)


async def finished(stack: ServedStack, *more: str) -> Path:
    """Move the volume; where it is then."""
    await typed(
        stack,
        " ".join((f"volume move start {WHICH} -destination-aggregate aggr2 --wait", *more)),
    )
    return place(stack)


async def shown(stack: ServedStack) -> Move:
    """The one move that ``tapekit volume move show`` tells of."""
    (move,) = msgspec.json.decode(await typed(stack, "volume move show --json"), type=list[Move])
    return move


async def waited(stack: ServedStack) -> Move:
    """The move of the volume, once it has ended or its cutover is deferred."""
    request = VolumeRequest(SOURCE)
    with trio.fail_after(LIMIT_S):
        return await trio.to_thread.run_sync(stack.kernel.management.call, WAIT, request)
