"""A stack with a volume, one that is kept as a copy of it, and one to restore to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

import trio
from typer.testing import CliRunner

from session_stack import clock, new_site, serving
from tapekit.cli.groups import group_command
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit.hookspecs.operations import NoRequest
from tapekit.kernel import Available, assemble, installed
from tapekit_snapmirror.operations import SHOW
from tapekit_volumes.storage import VolumeStorage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.hookspecs.events import Event
    from tapekit_snapmirror.relationships import Relationship

SOURCE, COPY, BACK = "/vs1/vol1", "/vs1/copy", "/vs1/back"


def with_copy(text: str, method: str = "copy") -> str:
    """A stack file that has the other volumes, and what relationships need."""
    if method != "copy":
        text = text.replace('"snap_copy"', f'"snap_{method}"')
        text = text.replace('snapshots = "copy"', f'snapshots = "{method}"')
    if '"smtape"' not in text:
        text = text.replace('    "dump",\n', '    "dump",\n    "smtape",\n')
    text = text.replace('    "dump",\n', '    "dump",\n    "snapmirror",\n')
    for name in ("copy", "back"):
        text += (
            f'\n[[volumes.volume]]\npath = "/vs1/{name}"\ndirectory = "volumes/vs1/{name}"\n'
            f'type = "dp"\nsnapshots = "{method}"\n'
        )
    return text


@final
class Gate:
    """Lets a thread of the stack wait at an event of the given name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = trio.Event()
        self.opened = trio.Event()

    def available(self) -> Available:
        """The plugin of this gate."""
        gate = self

        class GatePlugin:
            manifest: ClassVar = Manifest(name="gate", summary="Waits at an event")

            def __init__(self, settings: NoSettings) -> None:
                self.settings = settings

            @hookimpl
            def tapekit_on_event(self, event: Event) -> None:
                if event.name == gate.name and not gate.opened.is_set():
                    trio.from_thread.run(gate.wait)

        return Available("gate", "tests", "tests", lambda: GatePlugin)

    async def wait(self) -> None:
        self.reached.set()
        await self.opened.wait()


def mirror_stack(
    directory: Path, more: Sequence[Available] = ()
) -> AbstractAsyncContextManager[ServedStack]:
    """The stack, with snap_copy, served, for the first time or again."""
    file = directory / "tapekit.toml"
    if not file.exists():
        for name in ("copy", "back"):
            (directory / "volumes" / "vs1" / name).mkdir(parents=True)
        new_site(directory, with_copy)
        names = "".join(f'    "{each.name}",\n' for each in more)
        file.write_text(file.read_text().replace('    "dump",\n', f'    "dump",\n{names}'))
    kernel = assemble(file, (*installed(), *more), clock=clock)
    return serving(directory, kernel)


def storage_of(stack: ServedStack) -> VolumeStorage:
    storage = stack.kernel.storage
    assert isinstance(storage, VolumeStorage)
    return storage


def copies(stack: ServedStack, volume: str) -> list[str]:
    """The names of a volume's copies; those of relationships by their number."""
    names = [copy.name for copy in storage_of(stack).snapshot_copies(volume)]
    return [
        f"snapmirror {name.rpartition('.')[2]}" if name.startswith("snapmirror.") else name
        for name in names
    ]


def take(stack: ServedStack, name: str) -> None:
    storage_of(stack).create_snapshot(SOURCE, name, "the administrator")


async def typed(stack: ServedStack, *words: str) -> str:
    """What ``tapekit WORDS`` prints, in a process of its own: another kernel
    of the same stack file.

    :raises TapekitError: what the command raised.
    """

    def run() -> str:
        available = (*installed(), Gate("of no event").available())
        kernel = assemble(stack.directory / "tapekit.toml", available, clock=clock)
        app = group_command([kernel.command_groups({})[words[0]]])
        done = CliRunner().invoke(app, words)
        if done.exception is not None:
            raise done.exception
        return done.output

    with trio.fail_after(60):
        return await trio.to_thread.run_sync(run)


async def mirror(stack: ServedStack, *words: str) -> str:
    """What ``tapekit snapmirror WORDS`` prints."""
    return await typed(stack, "snapmirror", *words)


async def initialized(stack: ServedStack, kind: str = "mirror") -> None:
    """Make the relationship, and transfer for the first time."""
    await mirror(stack, "create", SOURCE, COPY, "--type", kind)
    await mirror(stack, "initialize", COPY, "--wait")


async def relationship(stack: ServedStack) -> Relationship:
    """The one relationship."""
    call = stack.kernel.management.call
    rows = await trio.to_thread.run_sync(call, SHOW, NoRequest())
    (row,) = rows.relationships
    return row
