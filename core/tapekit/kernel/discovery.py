"""Which plugins are installed, found without importing any of them.

A plugin is an entry point of the group ``tapekit.plugins``, in this
distribution or a stranger's; both are treated alike. The one rule:
only :meth:`Available.load` imports, and only enabled plugins are loaded by
a server.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING, Final, cast, final

import msgspec

from tapekit.errors import CORE, Catalogue
from tapekit.hookspecs.lifecycle import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.lifecycle import Plugin

__all__ = ["GROUP", "Available", "installed"]

GROUP: Final = "tapekit.plugins"
"""The entry-point group that plugins of all distributions share."""


@final
class Available:
    """A plugin that could be enabled."""

    def __init__(self, name: str, origin: str, package: str, loader: Callable[[], object]) -> None:
        self.name: Final = name
        self.origin: Final = origin
        """The distribution and its version, such as ``tapekit 1.2``."""
        self.package: Final = package
        """The package that holds the plugin's ``errors.toml``."""
        self._loader: Final = loader

    def __repr__(self) -> str:
        return f"<Available {self.name} of {self.origin}>"

    def load(self) -> type[Plugin]:
        """Import the plugin and check that its manifest keeps the contract.

        :raises TapekitError: it cannot be imported, or its manifest is
            missing, belongs to another plugin or cannot be used.
        """
        try:
            loaded = self._loader()
        except Exception as error:
            raise CORE.error(
                "plugin-not-importable",
                plugin=self.name,
                origin=self.origin,
                reason=f"{type(error).__name__}: {error}",
            ) from error
        fault = _manifest_fault(self.name, loaded)
        if fault is not None:
            raise CORE.error("bad-manifest", plugin=self.name, origin=self.origin, reason=fault)
        return cast("type[Plugin]", loaded)

    def catalogue(self) -> Catalogue | None:
        """The plugin's errors, read without importing its ``plugin.py``.

        :returns: ``None`` if the package keeps no ``errors.toml``.
        :raises TapekitError: the file is damaged.
        """
        try:
            spec = importlib.util.find_spec(self.package)
            if spec is None or spec.submodule_search_locations is None:
                return None
            return Catalogue.of(self.name, self.package)
        except FileNotFoundError:
            return None
        except (ImportError, OSError, ValueError) as error:
            raise CORE.error(
                "unreadable-catalogue", plugin=self.name, origin=self.origin, reason=error
            ) from error


def installed() -> Sequence[Available]:
    """All plugins of the running environment, by name; imports nothing."""
    points = importlib.metadata.entry_points(group=GROUP)
    return sorted(map(_available, points), key=lambda plugin: (plugin.name, plugin.origin))


def _available(point: importlib.metadata.EntryPoint) -> Available:
    origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.module
    package = point.module.rpartition(".")[0] or point.module
    return Available(point.name, origin, package, point.load)


def _manifest_fault(name: str, loaded: object) -> str | None:
    """What is wrong with a plugin class, in words."""
    if not isinstance(loaded, type):
        return f"the entry point names {loaded!r}, which is no class"
    manifest = getattr(loaded, "manifest", None)
    if not isinstance(manifest, Manifest):
        return f"the class {loaded.__qualname__} has no attribute 'manifest' of type Manifest"
    if manifest.name != name:
        return f'the manifest says "{manifest.name}", the entry point says "{name}"'
    settings: object = manifest.settings
    if not (isinstance(settings, type) and issubclass(settings, msgspec.Struct)):
        return f"its settings are {settings!r}, which is no msgspec.Struct"
    try:
        msgspec.inspect.type_info(settings)
    except (NameError, TypeError) as error:
        return f"the types of its settings cannot be read: {error}"
    return None
