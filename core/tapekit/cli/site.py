"""``tapekit init``: a folder in which a stack can be served at once.

Every installed plugin is asked for its part (``init_part``, see
``tapekit.hookspecs.lifecycle.Plugin``); the shell itself knows none of them
and writes only the stack file. The one rule: what exists is never
overwritten.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from tapekit.errors import CORE, StartErrors, TapekitError
from tapekit.hookspecs.lifecycle import InitPart, InitSite
from tapekit.kernel.assemble import plan
from tapekit.kernel.hooks import explained
from tapekit.kernel.load_order import sorted_by_requirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit.hookspecs.lifecycle import Plugin
    from tapekit.kernel import Available

__all__ = ["Site", "set_up_site"]

_FILE: Final = "tapekit.toml"
_HEADING: Final = """\
# A tapekit stack, set up by tapekit init.
#
# The list names the plugins that are enabled; each may have a table of its own.
#   tapekit plugins          what is installed
#   tapekit settings NAME    what a plugin's table may say
#   tapekit check FILE       everything that is wrong in a stack file
"""


class Site(NamedTuple):
    """A site that has been set up."""

    stack_file: Path
    created: Sequence[str]
    next_steps: Sequence[str]


def set_up_site(
    directory: Path,
    host: str,
    port: int,
    available: Sequence[Available],
    plugins: Mapping[str, type[Plugin]],
) -> Site:
    """Set up a site in a folder, which is made if need be.

    :param plugins: the installed plugins that can be used.
    :raises TapekitError: there is a stack file already, the folder cannot be
        written, or a plugin cannot do its part.
    :raises StartErrors: the plugins' parts do not make a stack together.
    """
    directory = directory.absolute()
    file = directory / _FILE
    if file.exists():
        raise CORE.error("site-exists", file=file)
    _make_folder(directory)
    parts = dict(_parts(InitSite(directory, host, port), plugins))
    enabled = _with_requirements(parts, plugins)
    _write_new(file, _stack_text(enabled, parts))
    try:
        plan(file, available)
    except StartErrors:
        file.unlink()
        raise
    return Site(
        stack_file=file,
        created=[line for name in enabled if name in parts for line in parts[name].created],
        next_steps=[line for name in enabled if name in parts for line in parts[name].next_steps],
    )


def _parts(site: InitSite, plugins: Mapping[str, type[Plugin]]) -> Iterator[tuple[str, InitPart]]:
    """The parts of the plugins that have one, each checked."""
    for name, plugin in plugins.items():
        if not hasattr(plugin, "init_part"):
            continue
        ask = cast("Callable[[InitSite], InitPart | None]", cast("Any", plugin).init_part)
        try:
            part = ask(site)
        except TapekitError:
            raise
        except Exception as error:
            raise explained(error, name, "init_part") from error
        if part is not None:
            _check_part(name, part)
            yield name, part


def _check_part(name: str, part: InitPart) -> None:
    try:
        tables = tomllib.loads(_table(name, part))
    except tomllib.TOMLDecodeError as error:
        raise CORE.error("bad-init-part", plugin=name, reason=error) from error
    others = tables.keys() - {name}
    if others:
        reason = "they define " + ", ".join(sorted(others))
        raise CORE.error("bad-init-part", plugin=name, reason=reason)


def _with_requirements(
    parts: Mapping[str, InitPart], plugins: Mapping[str, type[Plugin]]
) -> Sequence[str]:
    """The plugins with a part and all that they need, in dependency order."""
    requires: dict[str, tuple[str, ...]] = {}
    waiting = list(parts)
    while waiting:
        name = waiting.pop(0)
        if name not in requires and name in plugins:
            requires[name] = plugins[name].manifest.requires
            waiting += requires[name]
    order, _ = sorted_by_requirement(requires)
    return order


def _stack_text(enabled: Sequence[str], parts: Mapping[str, InitPart]) -> str:
    listed = "".join(f'    "{name}",\n' for name in enabled)
    tables = [
        _table(name, parts[name])
        for name in enabled
        if name in parts and parts[name].settings.strip()
    ]
    return "\n".join([f"{_HEADING}plugins = [\n{listed}]\n", *tables])


def _table(name: str, part: InitPart) -> str:
    return f"[{name}]\n{part.settings.strip()}\n"


def _make_folder(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CORE.error("site-not-writable", file=directory, reason=error.strerror) from error


def _write_new(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise CORE.error("site-exists", file=file) from None
    except OSError as error:
        raise CORE.error("site-not-writable", file=file, reason=error.strerror) from error
