"""``tapekit backup`` and ``tapekit restore``.

Typer reads annotations when a command is made, so they are not postponed.
The one rule: what the command line and the catalogue can judge is judged
before a server is asked.
"""

from functools import partial
from typing import Annotated, Final, final

import typer

from tapekit.console import say, say_json, say_table
from tapekit_dma.backup_run import BackupOrder, run_backup
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.records import Backup
from tapekit_dma.restore_plan import RestoreOrder, RestoreStep, plan_restore
from tapekit_dma.restore_run import run_restore
from tapekit_dma.running import run_to_end
from tapekit_dma.settings import JobSettings, listed
from tapekit_dma.site import Site

__all__ = ["backup_app", "restore_app"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]


def backup_app(site: Site) -> typer.Typer:
    """``tapekit backup``."""
    app = typer.Typer(no_args_is_help=True, help="Backups to a media set.")
    commands = _Backups(site)
    app.command("run")(commands.run)
    app.command("jobs")(commands.jobs)
    return app


def restore_app(site: Site) -> typer.Typer:
    """``tapekit restore``: one command, whose options may stand anywhere."""
    app = typer.Typer(context_settings={"allow_interspersed_args": True})
    app.callback(invoke_without_command=True, no_args_is_help=True)(_Restores(site).restore)
    return app


@final
class _Backups:
    """One method a command; the docstring is its help."""

    def __init__(self, site: Site) -> None:
        self._site: Final = site

    def run(
        self,
        what: Annotated[
            str, typer.Argument(metavar="JOB|PATH", help="A job of the settings, or a path.")
        ],
        level: Annotated[
            str, typer.Option(help="0 to 9, full, incremental or differential.")
        ] = "full",
        server: Annotated[str, typer.Option(help="Server that has the path.")] = "",
        media_set: Annotated[str, typer.Option("--set", help="Media set to write to.")] = "",
        butype: Annotated[str, typer.Option("--type", help="Kind of backup, for a path.")] = "dump",
        variable: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME=VALUE", help="For the data server; may be repeated."),
        ] = None,
        json: _AsJson = False,
    ) -> None:
        """Back up a job, or a path, and put it into the catalogue."""
        site = self._site
        job = site.settings.jobs.get(what) or self._path(what, server, media_set, butype)
        order = BackupOrder(
            server=server or job.server,
            path=job.path,
            media_set=media_set or job.media_set,
            butype=job.butype,
            level=level,
            variables={**job.variables, **dict(map(_pair, variable or ()))},
        )
        site.media_set(order.media_set)
        if order.server not in site.settings.servers:
            raise CATALOGUE.error("no-such-server", name=order.server)
        with site.catalogue() as catalogue:
            room = site.room()
            good: list[Backup] = []
            work = partial(run_backup, order, room, catalogue, site.new_label, good.append)
            done = run_to_end(work, good)
            parts = catalogue.parts(done.number)
        if json:
            say_json({"backup": done, "parts": parts})
            return
        places = ", ".join(f"{part.barcode} file {part.file}" for part in parts)
        say(f"{done.name}: {done.bytes} bytes on {places}")

    def _path(self, path: str, server: str, media_set: str, butype: str) -> JobSettings:
        settings = self._site.settings
        if not path.startswith("/"):
            raise CATALOGUE.error("no-such-job", name=path, known=listed(settings.jobs))
        return JobSettings(
            server=server or self._site.only(settings.servers, "server"),
            path=path,
            media_set=media_set or self._site.only(settings.media_sets, "set"),
            butype=butype,
        )

    def jobs(self, json: _AsJson = False) -> None:
        """List the jobs, with the last good backup of each."""
        with self._site.catalogue() as catalogue:
            backups = catalogue.backups()
        rows = []
        for name, job in sorted(self._site.settings.jobs.items()):
            last = _last_good(backups, job)
            rows.append((name, job.server, job.path, job.media_set, last.name if last else "none"))
        columns = ("job", "server", "path", "set", "last")
        if json:
            say_json([dict(zip(columns, row, strict=True)) for row in rows])
            return
        say_table([column.title() for column in columns], rows)


def _pair(text: str) -> tuple[str, str]:
    name, is_pair, value = text.partition("=")
    if not (name and is_pair):
        raise CATALOGUE.error("bad-variable", text=text)
    return name, value


def _last_good(backups: list[Backup], job: JobSettings) -> Backup | None:
    good = [
        each
        for each in backups
        if each.state == "good" and (each.server, each.path) == (job.server, job.path)
    ]
    return good[-1] if good else None


@final
class _Restores:
    """The command of restores."""

    def __init__(self, site: Site) -> None:
        self._site: Final = site

    def restore(
        self,
        paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="What to restore.")],
        to: Annotated[str, typer.Option(help="Directory that it comes back in.")] = "",
        source: Annotated[
            str,
            typer.Option("--from", metavar="SET|DATE|NUMBER", help="Which backup; else the last."),
        ] = "",
        server: Annotated[str, typer.Option(help="Server that was backed up.")] = "",
        onto: Annotated[str, typer.Option(help="Server to restore to, if another one.")] = "",
        only_list: Annotated[
            bool, typer.Option("--list", help="Only tell what would be read.")
        ] = False,
        only: Annotated[
            bool, typer.Option("--only", help="That backup alone, onto what it builds on.")
        ] = False,
        whole_chain: Annotated[
            bool, typer.Option(help="Restore all of the backup, with its increments.")
        ] = False,
        json: _AsJson = False,
    ) -> None:
        """Restore files, directories or all of a backup from its cartridges."""
        order = RestoreOrder(
            paths=tuple(paths),
            to=to,
            source=source,
            server=server,
            onto=onto,
            only=only,
            whole_chain=whole_chain,
        )
        if not only_list and not to.startswith("/"):
            raise CATALOGUE.error("no-destination", to=to or "nothing")
        if onto and onto not in self._site.settings.servers:
            raise CATALOGUE.error("no-such-server", name=onto)
        with self._site.catalogue() as catalogue:
            steps = plan_restore(order, catalogue)
            if only_list:
                _show(steps, as_json=json)
                return
            taken = run_to_end(partial(run_restore, order, steps, self._site.room(), catalogue))
        if json:
            say_json({"to": to, "bytes": taken, "backups": [each.backup.number for each in steps]})
            return
        names = ", ".join(step.backup.name for step in steps)
        say(f"restored to {to} from {names}: {taken} bytes read")


def _show(steps: list[RestoreStep], *, as_json: bool) -> None:
    if as_json:
        say_json(steps)
        return
    rows = [
        (
            str(step.backup.number),
            str(step.backup.level),
            ", ".join(part.barcode for part in step.parts),
            ", ".join(each.path for each in step.found) or "everything",
        )
        for step in steps
    ]
    say_table(("Backup", "Level", "Cartridges", "Restored"), rows, right=("Backup", "Level"))
