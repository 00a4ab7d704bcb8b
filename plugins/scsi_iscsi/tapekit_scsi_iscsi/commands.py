"""``tapekit iscsi targets``: what portals offer to this host.

The command asks the portals itself, beside a running server, and changes
nothing. The one rule: a portal that does not answer is an error, not a portal
without targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tapekit.console import say_json, say_table
from tapekit_scsi_iscsi.settings import parse_portal, parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit_scsi_iscsi.discovery import Offer
    from tapekit_scsi_iscsi.settings import ScsiIscsiSettings

__all__ = ["OfferRow", "command_app", "offer_rows"]


class OfferRow(msgspec.Struct, frozen=True):
    """A target that a portal offers."""

    portal: str
    """Who offers it, as ``HOST:PORT``."""
    target: str
    """Its iSCSI name."""
    reached_at: tuple[str, ...]
    """Where the portal says that it is reached."""
    used_by: str | None
    """The setting by which the stack uses it: ``targets`` or ``portals``."""


def command_app(settings: ScsiIscsiSettings, ask: Callable[[str], Sequence[Offer]]) -> typer.Typer:
    """The commands.

    :param ask: tells what a portal offers; may raise :class:`TapekitError`.
    """
    app = typer.Typer(no_args_is_help=True, help="Libraries on iSCSI targets.")
    # A group with one command would otherwise be that command.
    app.callback()(lambda: None)

    @app.command("targets")
    def list_targets(
        portal: Annotated[
            list[str] | None,
            typer.Option(
                "--portal",
                metavar="HOST[:PORT]",
                help="Ask this portal instead of those of the stack file; may be repeated.",
            ),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List the targets that portals offer to this host."""
        try:
            portals = [parse_portal(text) for text in portal or settings.portals]
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if not portals:
            raise typer.BadParameter("the stack file has no portals; name one with --portal")
        rows = list(offer_rows(portals, settings, ask))
        if as_json:
            say_json(rows)
        else:
            say_table(("Portal", "Target", "Reached at", "Used by"), map(_cells, rows))

    return app


def offer_rows(
    portals: Sequence[str], settings: ScsiIscsiSettings, ask: Callable[[str], Sequence[Offer]]
) -> Iterator[OfferRow]:
    """What portals offer, in their order, by name."""
    listed = {parse_target(text).name for text in settings.targets}
    asked = {parse_portal(text) for text in settings.portals}
    for portal in portals:
        for offer in sorted(ask(portal)):
            by_portal = "portals" if portal in asked else None
            used_by = "targets" if offer.name in listed else by_portal
            yield OfferRow(portal, offer.name, offer.portals, used_by)


def _cells(row: OfferRow) -> tuple[str, ...]:
    return (row.portal, row.target, ", ".join(row.reached_at), row.used_by or "-")
