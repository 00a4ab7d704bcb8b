"""What the plugins of a stack offer, joined into tables by name.

``tapekit_register_*`` answers are joined and may not share a name,
``tapekit_provide_*`` hooks have one answer at most, and everything offered
must be complete by its interface. The one rule: every plugin is asked and
every error is told before a stack is refused.
"""

from __future__ import annotations

import inspect
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs.authentication import Authenticator
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.data_engine import DataEngine
from tapekit.hookspecs.environment import Variable
from tapekit.hookspecs.media_changer import ChangerDriver
from tapekit.hookspecs.mover import MoverFactory
from tapekit.hookspecs.operations import Management, OfferedOperation
from tapekit.hookspecs.placement import Placement
from tapekit.hookspecs.state import StateStore
from tapekit.hookspecs.storage import SnapshotMethod, Storage
from tapekit.hookspecs.tape_driver import TapeDriver, TapeInventory
from tapekit.hookspecs.transport import ControlTransport, DataTransport
from tapekit.kernel.hooks import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tapekit.kernel.hooks import Hooks

__all__ = ["Offers", "collect", "collect_command_groups", "members"]


@final
class Offers:
    """Everything that was offered; the mappings are read-only."""

    def __init__(self, asking: _Asking) -> None:
        register, provide = asking.register, asking.provide
        self.control_transports: Final[Mapping[str, ControlTransport]] = register(
            "tapekit_register_control_transports", ControlTransport, lambda one: one.name
        )
        self.data_transports: Final[Mapping[str, DataTransport]] = register(
            "tapekit_register_data_transports", DataTransport, lambda one: one.kind
        )
        self.authenticator: Final[Authenticator | None] = provide(
            "tapekit_provide_authenticator", Authenticator
        )
        self.placement: Final[Placement | None] = provide("tapekit_provide_placement", Placement)
        self.storage: Final[Storage | None] = provide("tapekit_provide_storage", Storage)
        self.snapshot_methods: Final[Mapping[str, SnapshotMethod]] = register(
            "tapekit_register_snapshot_methods", SnapshotMethod, lambda one: one.name
        )
        self.engines: Final[Mapping[str, DataEngine]] = register(
            "tapekit_register_data_engines", DataEngine, lambda one: one.name
        )
        self.movers: Final[MoverFactory | None] = provide("tapekit_provide_movers", MoverFactory)
        self.tape_drivers: Final[Mapping[str, TapeDriver]] = register(
            "tapekit_register_tape_drivers", TapeDriver, lambda one: one.scheme
        )
        self.changer_drivers: Final[Mapping[str, ChangerDriver]] = register(
            "tapekit_register_changer_drivers", ChangerDriver, lambda one: one.scheme
        )
        self.tape_inventory: Final[TapeInventory | None] = provide(
            "tapekit_provide_tape_inventory", TapeInventory
        )
        self.variables: Final[Mapping[str, Variable]] = register(
            "tapekit_register_environment_variables",
            Variable,
            lambda one: f"{one.engine} {one.name}",
        )
        self.operations: Final[Mapping[str, OfferedOperation]] = register(
            "tapekit_register_operations", OfferedOperation, lambda one: one.name
        )
        self.management: Final[Management | None] = provide(
            "tapekit_provide_management", Management
        )
        self.state: Final[StateStore | None] = provide("tapekit_provide_state_store", StateStore)


def collect(hooks: Hooks) -> tuple[Offers, list[TapekitError]]:
    """Ask all plugins for what they offer, apart from commands."""
    asking = _Asking(hooks)
    return Offers(asking), asking.errors


def collect_command_groups(
    hooks: Hooks, taken: Mapping[str, str]
) -> tuple[Mapping[str, CommandGroup], list[TapekitError]]:
    """Ask all plugins for their command groups.

    :param taken: names that no plugin may use, and who has them.
    """
    asking = _Asking(hooks)
    groups = asking.register(
        "tapekit_register_command_groups", CommandGroup, lambda one: one.name, taken
    )
    return groups, asking.errors


@final
class _Asking:
    """Asks hooks and keeps the errors."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks: Final = hooks
        self.errors: Final[list[TapekitError]] = []

    def register(
        self,
        hook: str,
        kind: type,
        name_of: Callable[[Any], str],
        taken: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Join the answers of a ``register`` hook into a table by name."""
        reserved = taken or {}
        owners: dict[str, str] = {}
        table = {}
        for plugin, offer in self._offers(hook):
            if not self._is_complete(plugin, offer, kind):
                continue
            name = name_of(offer)
            owner = owners.get(name) or reserved.get(name.partition(" ")[0])
            if owner is not None:
                self.errors.append(
                    CORE.error(
                        "duplicate-name",
                        kind=_in_words(kind),
                        name=name,
                        first=owner,
                        second=plugin,
                    )
                )
            else:
                owners[name] = plugin
                table[name] = offer
        return MappingProxyType(table)

    def provide(self, hook: str, kind: type) -> Any:
        """The one answer of a ``provide`` hook, or ``None``."""
        answers, errors = self._hooks.ask_all(hook)
        self.errors.extend(errors)
        complete = [
            (plugin, offer) for plugin, offer in answers if self._is_complete(plugin, offer, kind)
        ]
        self.errors.extend(
            CORE.error(
                "duplicate-provider", kind=_in_words(kind), first=complete[0][0], second=plugin
            )
            for plugin, _ in complete[1:]
        )
        return complete[0][1] if complete else None

    def _offers(self, hook: str) -> Iterator[tuple[str, object]]:
        answers, errors = self._hooks.ask_all(hook)
        self.errors.extend(errors)
        for plugin, answer in answers:
            # A generator may raise only now.
            try:
                offers = tuple(answer)
            except Exception as error:  # noqa: BLE001 - kept for the report with the others
                self.errors.append(explained(error, plugin, hook))
            else:
                yield from ((plugin, offer) for offer in offers)

    def _is_complete(self, plugin: str, offer: object, kind: type) -> bool:
        missing = ", ".join(_missing(offer, kind))
        if missing:
            self.errors.append(
                CORE.error("incomplete-offer", plugin=plugin, kind=_in_words(kind), missing=missing)
            )
        return not missing


def _missing(offer: object, kind: type) -> list[str]:
    """What an offer lacks of its interface, or of being its struct."""
    if issubclass(kind, msgspec.Struct):
        return [] if isinstance(offer, kind) else [f"the type {kind.__name__}"]
    return [name for name in members(kind) if not _has(offer, name)]


def members(interface: type) -> Iterator[str]:
    """The methods and properties that a Protocol demands."""
    for base in interface.__mro__:
        for name, value in vars(base).items():
            if not name.startswith("_") and isinstance(value, FunctionType | property):
                yield name


def _has(offer: object, name: str) -> bool:
    """Whether an attribute is there, without running a property."""
    try:
        inspect.getattr_static(offer, name)
    except AttributeError:
        return hasattr(offer, name)
    return True


def _in_words(kind: type) -> str:
    """``ControlTransport`` as ``control transport``."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind.__name__).strip()
