"""The kernel of one stack, as its plugins see it.

It holds what plugins offer and the few services that need all of them:
announcing events, starting tasks, draining. The one rule: nothing here is
shared between kernels, and the collections never change.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.errors import StartErrors
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.kernel.no_management import NoManagement
from tapekit.kernel.offers import collect_command_groups
from tapekit.kernel.volume_jobs import JobRegistry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tapekit.hookspecs.authentication import Authenticator
    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.environment import Variable
    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.media_changer import ChangerDriver
    from tapekit.hookspecs.movements import VolumeJobs
    from tapekit.hookspecs.mover import MoverFactory
    from tapekit.hookspecs.operations import Management, OfferedOperation
    from tapekit.hookspecs.placement import Placement
    from tapekit.hookspecs.state import StateStore
    from tapekit.hookspecs.storage import SnapshotMethod, Storage
    from tapekit.hookspecs.tape_driver import TapeDriver, TapeInventory
    from tapekit.hookspecs.transport import ControlTransport, DataTransport
    from tapekit.kernel.hooks import Hooks
    from tapekit.kernel.offers import Offers
    from tapekit.kernel.stack_file import StackFile

__all__ = ["StackKernel"]

_LOG: Final = logging.getLogger("tapekit.kernel")


@final
class StackKernel:
    """Implements ``tapekit.hookspecs.lifecycle.Kernel``."""

    def __init__(
        self,
        stack: StackFile,
        hooks: Hooks,
        offers: Offers,
        *,
        host_name: str,
        clock: Callable[[], float],
    ) -> None:
        self._stack: Final = stack
        self._hooks: Final = hooks
        self._offers: Final = offers
        self._host_name: Final = host_name
        self._clock: Final = clock
        self._draining: Final = trio.Event()
        self._addresses: Final[list[str]] = []
        self._report: Callable[[str], None] | None = None
        self._nursery: trio.Nursery | None = None
        self._state: Final = offers.state or MemoryStateStore()
        self._management: Final = offers.management or NoManagement(stack.path)
        self._volume_jobs: Final = JobRegistry(clock)

    def __repr__(self) -> str:
        return f"<kernel of {self._stack.path}>"

    # What the stack is.

    @property
    def stack_file(self) -> Path:
        """The stack file, absolute."""
        return self._stack.path

    @property
    def node_name(self) -> str:
        """Name of this node, from the stack file or the machine."""
        return self._stack.top.node or self._host_name

    @property
    def base_directory(self) -> Path:
        """Folder of the stack file, absolute."""
        return self._stack.path.parent

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the time in seconds since 1970."""
        return self._clock

    @property
    def drain_timeout_s(self) -> float:
        """How long running jobs may take to end once the stack drains."""
        return self._stack.top.drain_timeout_s

    @property
    def plugin_names(self) -> Sequence[str]:
        """The enabled plugins, in dependency order."""
        return self._hooks.plugin_names

    # What plugins offer.

    @property
    def control_transports(self) -> Sequence[ControlTransport]:
        """Everything that accepts control connections."""
        return tuple(self._offers.control_transports.values())

    @property
    def data_transports(self) -> Mapping[str, DataTransport]:
        """Data connections by kind."""
        return self._offers.data_transports

    @property
    def authenticator(self) -> Authenticator | None:
        """Who may log in; without one, nobody has to."""
        return self._offers.authenticator

    @property
    def placement(self) -> Placement | None:
        """What control connections lead to; without one, to everything."""
        return self._offers.placement

    @property
    def engines(self) -> Mapping[str, DataEngine]:
        """Data engines by butype name."""
        return self._offers.engines

    @property
    def movers(self) -> MoverFactory | None:
        """What makes movers."""
        return self._offers.movers

    @property
    def tape_drivers(self) -> Mapping[str, TapeDriver]:
        """Tape drivers by device scheme."""
        return self._offers.tape_drivers

    @property
    def changer_drivers(self) -> Mapping[str, ChangerDriver]:
        """Drivers of media changers by device scheme."""
        return self._offers.changer_drivers

    @property
    def tape_inventory(self) -> TapeInventory | None:
        """Tape devices by name."""
        return self._offers.tape_inventory

    @property
    def storage(self) -> Storage | None:
        """Volumes."""
        return self._offers.storage

    @property
    def snapshot_methods(self) -> Mapping[str, SnapshotMethod]:
        """Ways to make Snapshot copies, by name."""
        return self._offers.snapshot_methods

    @property
    def state(self) -> StateStore:
        """What is remembered over restarts."""
        return self._state

    @property
    def volume_jobs(self) -> VolumeJobs:
        """The jobs of volumes that run now."""
        return self._volume_jobs

    @property
    def operations(self) -> Mapping[str, OfferedOperation]:
        """What an administrator may ask of the running stack, by name."""
        return self._offers.operations

    @property
    def management(self) -> Management:
        """How a command reaches the running stack."""
        return self._management

    def variables(self, engine: str) -> Sequence[Variable]:
        """The environment variables that plugins declare for an engine."""
        return tuple(row for row in self._offers.variables.values() if row.engine == engine)

    def command_groups(self, taken: Mapping[str, str]) -> Mapping[str, CommandGroup]:
        """Ask the plugins for their commands; once, and not on a kernel that runs.

        :param taken: names that no plugin may use, and who has them.
        :raises StartErrors: names clash, or a plugin failed.
        """
        groups, errors = collect_command_groups(self._hooks, taken)
        if errors:
            raise StartErrors(errors)
        return groups

    def call_hook(self, hook: str, /, **arguments: object) -> Sequence[tuple[str, object]]:
        """Call a hook that a plugin of the stack specifies.

        :raises KeyError: none does.
        """
        return self._hooks.call(hook, arguments)

    # What happens while it runs.

    def contexts(self) -> Iterator[tuple[str, AbstractAsyncContextManager[None]]]:
        """The plugins that work, and the contexts in which they do.

        Each is asked when the iterator comes to it, after the context of
        the one before has been entered.
        """
        for name, caller in self._hooks.callers("tapekit_run"):
            context = caller(kernel=self)
            if context is not None:
                yield name, context

    def announce(self, event: Event) -> None:
        """Tell all plugins of an event; callable from any thread."""
        for plugin, caller in self._hooks.callers("tapekit_on_event"):
            try:
                caller(event=event)
            except Exception:  # noqa: BLE001 - logged; the announcer must not suffer
                _LOG.exception('plugin "%s" failed on the event %s', plugin, event.name)

    def attach(self, nursery: trio.Nursery) -> None:
        """Take the nursery that :meth:`start_task` puts tasks into."""
        self._nursery = nursery

    def start_task(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        """Run a task in the kernel's nursery until it ends or the kernel does.

        :raises RuntimeError: the stack does not run: call it in a context
            of ``tapekit_run`` only.
        """
        if self._nursery is None:
            raise RuntimeError(f"the task {name} was started on a stack that does not run")
        self._nursery.start_soon(run, name=name)

    @property
    def draining(self) -> trio.Event:
        """Set when the stack stops."""
        return self._draining

    def drain(self) -> None:
        """Stop the stack gently; later calls do nothing."""
        self._draining.set()

    def listening(self, address: str) -> None:
        """Report an address that accepts connections, once all plugins are ready."""
        if self._report is None:
            self._addresses.append(address)
        else:
            self._report(address)

    @property
    def is_ready(self) -> bool:
        """Whether all plugins became ready since the stack was started."""
        return self._report is not None

    def report_addresses(self, report: Callable[[str], None]) -> None:
        """Give the addresses so far to ``report``, and all later ones."""
        self._report = report
        for address in self._addresses:
            report(address)
