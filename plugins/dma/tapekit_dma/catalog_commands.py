"""``tapekit catalog``: what was backed up, and where it is.

Nothing here asks a server. The one rule: a backup is forgotten only together
with those that build on it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.errors import TapekitError
from tapekit_dma.catalogue import FORMAT, Catalogue
from tapekit_dma.choosing import with_increments
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.file_index import open_index
from tapekit_dma.records import Backup, Cartridge, Entry, State
from tapekit_dma.site import Site

__all__ = ["Export", "catalog_app"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the backup.")]
_Set = Annotated[str, typer.Option("--set", help="Only of this media set.")]


@final
class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The readable copy of a catalogue's set, as JSON."""

    format: int
    media_set: str
    cartridges: tuple[Cartridge, ...]
    backups: tuple[Entry, ...]


def catalog_app(site: Site) -> typer.Typer:
    """``tapekit catalog``."""
    app = typer.Typer(no_args_is_help=True, help="What was backed up, and where it is.")
    commands = _Commands(site)
    for command in (commands.list, commands.show, commands.find, commands.verify, commands.forget):
        app.command()(command)
    app.command()(commands.export)
    app.command("import")(commands.import_)
    return app


class _Match(NamedTuple):
    backup: int
    path: str
    size: int
    modified: str


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, site: Site) -> None:
        self._site: Final = site

    def list(self, media_set: _Set = "", json: _AsJson = False) -> None:
        """List the backups, those that failed included."""
        with self._site.catalogue() as catalogue:
            backups = catalogue.backups(media_set or None)
        if json:
            say_json(backups)
            return
        rows = [
            (
                str(each.number),
                _moment(each.started_at),
                each.media_set,
                each.server,
                each.path,
                str(each.level),
                str(each.bytes),
                each.state.value,
            )
            for each in backups
        ]
        columns = ("Number", "Begun", "Set", "Server", "Path", "Level", "Bytes", "State")
        say_table(columns, rows, right=("Number", "Level", "Bytes"))

    def show(self, number: _Number, json: _AsJson = False) -> None:
        """Show one backup and where it lies."""
        with self._site.catalogue() as catalogue:
            backup, parts = catalogue.backup(number), catalogue.parts(number)
        if json:
            say_json({"backup": backup, "parts": parts})
            return
        say(f"{backup.name} of {backup.server}: {backup.state.value} {backup.reason}".rstrip())
        built = f", builds on backup {backup.base}" if backup.base is not None else ""
        say(f"begun {_moment(backup.started_at)}, {backup.bytes} bytes{built}")
        rows = [
            (each.barcode, each.label, str(each.file), str(each.offset), str(each.length))
            for each in parts
        ]
        columns = ("Cartridge", "Label", "File", "Offset", "Length")
        say_table(columns, rows, right=columns[2:])

    def find(
        self,
        pattern: Annotated[
            str, typer.Argument(help="Name, or path below the backup's, with * and ?.")
        ],
        media_set: _Set = "",
        json: _AsJson = False,
    ) -> None:
        """Find files in all backups that have an index."""
        found: list[_Match] = []
        with self._site.catalogue() as catalogue:
            for backup in catalogue.backups(media_set or None):
                file = catalogue.index_of(backup.number)
                if backup.state is State.GOOD and file.exists():
                    with open_index(file) as index:
                        found += [
                            _Match(
                                backup.number,
                                f"{backup.path.rstrip('/')}/{each.path}",
                                each.size,
                                _moment(each.mtime),
                            )
                            for each in index.matching(pattern)
                        ]
        if json:
            say_json([each._asdict() for each in found])
        else:
            rows = [tuple(map(str, each)) for each in found]
            say_table(("Backup", "Path", "Size", "Modified"), rows, right=("Backup", "Size"))
        if not found:
            raise CATALOGUE.error("nothing-found", pattern=pattern)

    def verify(self, json: _AsJson = False) -> None:
        """Read the whole catalogue, and tell what is damaged or missing."""
        with self._site.catalogue() as catalogue:
            catalogue.check()
            problems = list(_problems(catalogue))
            count = len(catalogue.backups())
        if json:
            say_json({"backups": count, "problems": problems})
        for problem in () if json else problems:
            say(problem)
        if problems:
            raise CATALOGUE.error("catalogue-incomplete", count=len(problems))
        if not json:
            say(f"{count} backups, no problems")

    def forget(
        self,
        number: _Number,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Forget a backup and those that build on it; its tape may be reused."""
        with self._site.catalogue() as catalogue:
            media_set = catalogue.backup(number).media_set
            with catalogue.exclusively(media_set):
                numbers = with_increments([number], catalogue.backups())
                told = ", ".join(map(str, numbers))
                if not yes:
                    typer.confirm(f"forget backups {told}?", abort=True, err=True)
                catalogue.forget(numbers)
        say(f"forgotten: {told}")

    def export(
        self,
        media_set: Annotated[str, typer.Argument(metavar="SET", help="Media set.")],
        output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    ) -> None:
        """Write what is known of a set to a file, without its file indexes."""
        with self._site.catalogue() as catalogue:
            entries = [
                Entry(each, tuple(catalogue.parts(each.number)))
                for each in catalogue.backups(media_set)
                # Of one that runs nobody could say later what became of it.
                if each.state is not State.RUNNING
            ]
            mine = [each for each in catalogue.cartridges().values() if each.media_set == media_set]
        copy = Export(
            format=FORMAT, media_set=media_set, cartridges=tuple(mine), backups=tuple(entries)
        )
        data = msgspec.json.format(msgspec.json.encode(copy), indent=2)
        try:
            output.write_bytes(data + b"\n")
        except OSError as error:
            raise CATALOGUE.error("export-unusable", file=output, reason=error.strerror) from error
        say(f"{len(entries)} backups and {len(mine)} cartridges of {media_set} in {output}")

    def import_(
        self, file: Annotated[Path, typer.Argument(help="File that export has written.")]
    ) -> None:
        """Take in what another catalogue has exported."""
        try:
            copy = msgspec.json.decode(file.read_bytes(), type=Export)
        except (OSError, msgspec.DecodeError) as error:
            raise CATALOGUE.error("export-unusable", file=file, reason=error) from error
        if copy.format != FORMAT:
            reason = f"format {copy.format} is not known here"
            raise CATALOGUE.error("export-unusable", file=file, reason=reason)
        with self._site.catalogue() as catalogue:
            pairs = [(entry.backup, entry.parts) for entry in copy.backups]
            catalogue.take_in(pairs, copy.cartridges)
        say(f"{len(copy.backups)} backups of {copy.media_set} taken in")


def _problems(catalogue: Catalogue) -> Iterable[str]:
    good = {each.number: each for each in catalogue.backups() if each.state is State.GOOD}
    cartridges = catalogue.cartridges()
    for number, backup in good.items():
        if backup.base is not None and backup.base not in good:
            yield f"{backup.name} builds on backup {backup.base}, which is not known"
        for part in catalogue.parts(number):
            cartridge = cartridges.get(part.barcode)
            if cartridge is None or cartridge.label != part.label:
                yield f"{backup.name} lies on {part.barcode} under a label that it does not have"
        if backup.butype != "smtape":
            yield from _index_problems(catalogue, backup)


def _index_problems(catalogue: Catalogue, backup: Backup) -> Iterable[str]:
    try:
        with open_index(catalogue.index_of(backup.number)) as index:
            index.check()
    except TapekitError as error:
        yield f"{backup.name}: {error}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
