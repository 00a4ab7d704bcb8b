"""``tapekit sysconfig``: the machine, what it permits, and its tape devices.

What is shown is what the running server knows. The one rule: every limit that
follows from the memory stands beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say, say_json
from tapekit.hookspecs.operations import NoRequest
from tapekit_ndmp_v4 import operations as ops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["sysconfig_app"]


def sysconfig_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The command; ``kernel`` is asked when it runs."""
    app = typer.Typer(invoke_without_command=True)
    app.callback()(_Command(kernel).sysconfig)
    return app


@final
class _Command:
    """The docstring of the method is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def sysconfig(
        self,
        everything: Annotated[
            bool, typer.Option("-a", help="Show the machine, limits and devices.")
        ] = False,
        tapes: Annotated[bool, typer.Option("-t", help="Show tape devices alone.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """Show the configuration of the running system."""
        found = self._kernel().management.call(ops.SYSCONFIG, NoRequest())
        if as_json:
            say_json(found)
            return
        if not tapes or everything:
            for line in _machine(found):
                say(line)
        if tapes or everything:
            for line in _drives(found):
                say(line)


def _machine(found: ops.SystemFacts) -> Iterator[str]:
    yield f"{found.product} {found.revision}: {found.node}"
    for name, value in (
        ("System", f"{found.os_type} {found.os_version}"),
        ("Memory Size", f"{found.memory_bytes >> 20} MB"),
        ("NDMP Sessions", found.sessions_limit),
        ("Dump Sessions", found.dump_sessions_limit),
        ("SMTape Sessions", found.smtape_sessions_limit),
        ("Local Tape Jobs", found.local_tape_jobs_limit),
    ):
        yield f"{name + ':':>24} {value}"


def _drives(found: ops.SystemFacts) -> Iterator[str]:
    for drive in found.drives:
        yield f"    Tape drive ({drive.physical_path})  {drive.vendor} {drive.product}"
        for device in drive.devices:
            kind = _kind(device)
            yield f"    {device.name:<8} -  {kind:<22} format is: {device.format}".rstrip()


def _kind(device: ops.SystemDevice) -> str:
    if device.unloads:
        return "unload/reload device,"
    return "rewind device," if device.rewinds else "no rewind device,"
