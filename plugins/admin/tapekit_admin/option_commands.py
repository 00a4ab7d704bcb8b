"""``tapekit options``: settings that change while the stack runs.

Plugins offer an operation an option (``tapekit.hookspecs.operations.option``);
the command finds them by their names. Options may be given in both ways of the
guide: ``-option-name NAME -option-value VALUE``, or as two words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say_json, say_table
from tapekit.hookspecs.operations import OPTIONS, Feed, OptionRequest
from tapekit_admin.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation, OptionState

__all__ = ["options_app"]


def options_app(kernel: Callable[[], Kernel]) -> typer.Typer:
    """The command; ``kernel`` is asked when it runs."""
    app = typer.Typer(invoke_without_command=True)
    # Else options behind the first word would be words of a command below.
    settings = {"allow_interspersed_args": True}
    app.callback(context_settings=settings)(_Command(kernel).options)
    return app


@final
class _Command:
    """The docstring of the method is its help."""

    def __init__(self, kernel: Callable[[], Kernel]) -> None:
        self._kernel: Final = kernel

    def options(
        self,
        words: Annotated[
            list[str] | None,
            typer.Argument(metavar="[NAME [VALUE]]", help="An option, and its new value."),
        ] = None,
        option_name: Annotated[
            str | None,
            typer.Option("--option-name", "-option-name", "-option_name", help="The option."),
        ] = None,
        option_value: Annotated[
            str | None, typer.Option("--option-value", "-option-value", help="Its new value.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """Show the options of the running stack, or set one of them."""
        given = [*(words or ()), *(one for one in (option_name, option_value) if one is not None)]
        if len(given) > 2 or (option_value is not None and len(given) < 2):
            raise typer.BadParameter("give one option, and one value at most")
        states = self._states(given)
        if as_json:
            say_json(states)
        else:
            say_table(
                ("Option", "Value", "Constraint"),
                ((one.name, one.value, ", ".join(one.values)) for one in states),
            )

    def _states(self, given: list[str]) -> list[OptionState]:
        offered = self._offered()
        if not given:
            return [self._asked(one, None) for _, one in sorted(offered.items())]
        name = given[0]
        if name not in offered:
            known = ", ".join(sorted(offered)) or "none"
            raise CATALOGUE.error("unknown-option", option=name, known=known)
        return [self._asked(offered[name], given[1] if len(given) > 1 else None)]

    def _asked(self, offered: OfferedOperation, value: str | None) -> OptionState:
        operation = offered.operation
        assert not isinstance(operation, Feed), "an option has one value"
        state: OptionState = self._kernel().management.call(operation, OptionRequest(value=value))
        return state

    def _offered(self) -> Mapping[str, OfferedOperation]:
        return {
            name.removeprefix(OPTIONS): one
            for name, one in self._kernel().operations.items()
            if name.startswith(OPTIONS)
        }
