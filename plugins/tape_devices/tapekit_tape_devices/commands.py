"""``tapekit tape``: the tape devices of a stack, as the server names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import typer

from tapekit.console import say_json
from tapekit_tape_devices.drive_trial import LEFT_OUT, drive_trials
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.printing import say_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tapekit.hookspecs.media_changer import ChangerRow
    from tapekit.hookspecs.tape_driver import DeviceRow, DriveRow
    from tapekit_tape_devices.drive_trial import TrialRow
    from tapekit_tape_devices.inventory import Inventory

__all__ = ["changer_listing", "command_app", "listing"]


def command_app(inventory: Callable[[], Inventory]) -> typer.Typer:
    """The commands; ``inventory`` is asked when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Tape drives, media changers and their names.")
    commands = _Commands(inventory)
    app.command()(commands.list)
    app.command()(commands.changers)
    app.command()(commands.check)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, inventory: Callable[[], Inventory]) -> None:
        self._inventory: Final = inventory

    def list(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List tape drives and the names of their devices."""
        drives = self._inventory().drives()
        if json:
            say_json(drives)
        else:
            say_lines(listing(drives))

    def changers(
        self,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """List media changers and their names."""
        rows = self._inventory().changers()
        if json:
            say_json(rows)
        else:
            say_lines(changer_listing(rows))

    def check(
        self,
        device: Annotated[
            str,
            typer.Argument(
                help="A drive with a scratch cartridge, such as nrst0a, st0 or its serial number."
            ),
        ],
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Lose what is on the cartridge.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
    ) -> None:
        """Check that a drive does what backups rely on, with a scratch cartridge.

        The cartridge is written, read and erased many times, and empty at the end.
        """
        rows: list[TrialRow] = []
        try:
            for row in drive_trials(self._inventory(), device, overwrite=overwrite):
                rows.append(row)
                if not json:
                    say_lines([_verdict(row)])
        finally:
            # Also those before an error that breaks the check off.
            if json:
                say_json(rows)
        failed = sum(not row.is_passed for row in rows)
        if failed:
            raise CATALOGUE.error("check-failed", device=device, failed=failed, total=len(rows))
        if not json:
            say_lines(_passed_lines(device, len(rows)))


def _verdict(row: TrialRow) -> str:
    return f"passed  {row.name}" if row.is_passed else f"FAILED  {row.name}: {row.message}"


def _passed_lines(device: str, total: int) -> Iterator[str]:
    yield f"The drive of {device} passes all {total} checks. Not checked:"
    for what in LEFT_OUT:
        yield f"    {what}"


def listing(drives: Iterable[DriveRow]) -> Iterator[str]:
    """The lines of a listing: a heading a drive, then a line a device."""
    for drive in drives:
        found = drive.description
        yield f"          Tape drive ({found.physical_path})  {found.vendor:<11} {found.product}"
        for device in drive.devices:
            meaning = found.formats.get(device.compression, "unknown")
            yield f"{device.name:<6} -  {_kind(device) + ',':<30}format is: {meaning}"


def changer_listing(changers: Iterable[ChangerRow]) -> Iterator[str]:
    """The lines of a listing: a heading and a line a changer."""
    for changer in changers:
        found = changer.description
        yield f"          Media changer ({found.physical_path})  {found.vendor:<8} {found.product}"
        yield f"{changer.name:<6} -  medium changer device,       serial number: {found.serial}"


def _kind(device: DeviceRow) -> str:
    if device.unloads:
        return "unload/reload device"
    return "rewind device" if device.rewinds else "no rewind device"
