"""Life cycle: what a plugin is, what the kernel gives it, when it runs.

A plugin is a class that the kernel builds with its own settings. It offers
things through the ``tapekit_register_*`` and ``tapekit_provide_*`` hooks of
the other pages; it meets what others offer in ``tapekit_on_assembled``, and
it works inside the context of ``tapekit_run``. Plugins start no task
anywhere else and keep nothing in module globals, so that two kernels in one
process share nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec

from tapekit.hookspecs._markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import trio

    from tapekit.hookspecs.authentication import Authenticator
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

__all__ = [
    "InitPart",
    "InitSite",
    "Kernel",
    "Manifest",
    "NoSettings",
    "Plugin",
    "tapekit_on_assembled",
    "tapekit_run",
]


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of a plugin that has none."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel knows of a plugin before it builds one.

    ``name`` is the entry point's name, the settings table (``[NAME]`` at
    the top level of the stack file, because TOML does not allow the list
    ``plugins`` and tables below that word together), the prefix of fault
    identifiers and the last part of the logger's name. ``requires`` are
    the plugins that must be in the same stack. ``settings`` is a frozen
    msgspec struct that refuses unknown fields; the docstring under each
    field is its help.
    """

    name: str
    summary: str
    requires: tuple[str, ...] = ()
    settings: type[msgspec.Struct] = NoSettings


class InitSite(msgspec.Struct, frozen=True):
    """The new site that ``tapekit init`` is setting up."""

    directory: Path
    """An existing folder, absolute; a plugin makes files below it only."""
    host: str
    """Where control connections will be accepted."""
    port: int
    """TCP port of the control connections."""


class InitPart(msgspec.Struct, frozen=True):
    """What a plugin contributes to a new site."""

    settings: str = ""
    """TOML lines of the plugin's table, comments included, without the
    ``[NAME]`` line; empty when the defaults will do."""
    created: tuple[str, ...] = ()
    """What was made below the folder, a short phrase each, for the summary."""
    next_steps: tuple[str, ...] = ()
    """What the administrator may do next, a line each."""


class Plugin(Protocol):
    """The shape of a plugin class; hook implementations come on top.

    The constructor gets the decoded settings struct of the manifest. Three
    more class attributes are optional:

    ``hookspecs: ClassVar[ModuleType]``
        A module of hook specifications that this plugin calls and others
        implement; it calls them through :meth:`Kernel.call_hook`.

    ``init_part(cls, site: InitSite) -> InitPart | None`` (a class method)
        The plugin's part of a site that ``tapekit init`` sets up: makes what
        the settings name (folders, media, a password), never overwrites
        what is there, and raises TapekitError if it cannot. A plugin
        without it, or that answers ``None``, is left out of the new stack
        unless another one requires it.

    ``client_commands(cls) -> typer.Typer`` (a class method)
        What ``tapekit NAME ...`` runs, NAME being the plugin's, for a plugin
        that is a client of other machines, or works on files: it is found
        wherever the plugin is installed, without a stack file, and gets the
        line as it is. An application of one command and no callback is that
        command itself; commands that one of several lacks are looked for
        among the command groups of the stack.
    """

    manifest: ClassVar[Manifest]


class Kernel(Protocol):
    """What a running stack offers to its plugins.

    All collections are complete when ``tapekit_on_assembled`` is called and
    do not change afterwards.
    """

    @property
    def node_name(self) -> str:
        """Name of this node, from the stack file or the machine."""
        ...

    @property
    def base_directory(self) -> Path:
        """Folder of the stack file; relative paths in settings start here."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the time in seconds since 1970: the clock of all events."""
        ...

    @property
    def control_transports(self) -> Sequence[ControlTransport]:
        """Everything that accepts control connections."""
        ...

    @property
    def data_transports(self) -> Mapping[str, DataTransport]:
        """Data connections by kind, such as ``LOCAL`` and ``TCP``."""
        ...

    @property
    def authenticator(self) -> Authenticator | None:
        """Who may log in; without one, nobody has to."""
        ...

    @property
    def placement(self) -> Placement | None:
        """What control connections lead to; without one, to everything."""
        ...

    @property
    def engines(self) -> Mapping[str, DataEngine]:
        """Data engines by butype name, such as ``dump``."""
        ...

    @property
    def movers(self) -> MoverFactory | None:
        """What makes movers; without it there is no tape service."""
        ...

    @property
    def tape_drivers(self) -> Mapping[str, TapeDriver]:
        """Tape drivers by device scheme."""
        ...

    @property
    def changer_drivers(self) -> Mapping[str, ChangerDriver]:
        """Drivers of media changers by device scheme."""
        ...

    @property
    def tape_inventory(self) -> TapeInventory | None:
        """Tape devices by name; without it there is no tape service."""
        ...

    @property
    def storage(self) -> Storage | None:
        """Volumes; without it there is nothing to back up."""
        ...

    @property
    def snapshot_methods(self) -> Mapping[str, SnapshotMethod]:
        """Ways to make Snapshot copies, by name."""
        ...

    @property
    def state(self) -> StateStore:
        """What is remembered over restarts; in memory if no plugin keeps it."""
        ...

    @property
    def volume_jobs(self) -> VolumeJobs:
        """The jobs of volumes that run now, for whatever moves storage."""
        ...

    @property
    def operations(self) -> Mapping[str, OfferedOperation]:
        """What an administrator may ask of the running stack, by name."""
        ...

    @property
    def management(self) -> Management:
        """How a command reaches the running stack; without a plugin that
        offers a way, every call raises ``core.no-management``.
        """
        ...

    def variables(self, engine: str) -> Sequence[Variable]:
        """The environment variables that plugins declare for an engine."""
        ...

    def announce(self, event: Event) -> None:
        """Tell all plugins of an event; callable from any thread."""
        ...

    def start_task(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        """Run a task in the kernel's nursery until it ends or the kernel does."""
        ...

    @property
    def draining(self) -> trio.Event:
        """Set when the stack stops: take no new work, finish what runs.

        Then the contexts of ``tapekit_run`` are left. Tasks of
        :meth:`start_task` are cancelled after the last one was left.
        """
        ...

    def call_hook(self, hook: str, /, **arguments: object) -> Sequence[tuple[str, object]]:
        """Call a hook that a plugin specifies (:class:`Plugin`, ``hookspecs``).

        :returns: the plugin's name and what it answered, in dependency
            order, without those that answered ``None``.
        :raises KeyError: no plugin of the stack specifies such a hook.
        """
        ...

    def listening(self, address: str) -> None:
        """Report an address that now accepts connections, as ``HOST:PORT``."""
        ...


@hookspec
def tapekit_on_assembled(kernel: Kernel) -> None:
    """Meet the rest of the stack.

    Called once on each plugin, in dependency order, after everything has
    been registered and before anything runs; commands that only look at a
    stack stop here. Not a place for tasks, sockets or slow work.

    :param kernel: complete, and the same object for the plugin's whole life.
    :raises TapekitError: stops the start; all other plugins are still
        asked, and every error is reported. Several are raised as an
        :class:`ExceptionGroup`.
    """


@hookspec
def tapekit_run(kernel: Kernel) -> AbstractAsyncContextManager[None] | None:
    """Offer the context in which the plugin works.

    Called once when the stack starts. Contexts are entered in dependency
    order and left in the reverse one, inside one nursery. ``None`` means
    that the plugin needs no context.

    Exits drain. When they begin, ``kernel.draining`` is set: an exit lets
    the plugin's jobs reach their end or a restartable state, waits for
    them, and then frees everything. A second signal, or the stack's
    ``drain_timeout_s``, cancels the waiting: an exit then gets
    :class:`trio.Cancelled`, aborts its jobs, and still frees everything.

    :returns: a context manager whose entry returns once the plugin is ready;
        an error in its entry, its body or its exit ends the stack.
    """
