"""``tapekit dump info|list|extract|verify``: images without a stack.

Typer reads annotations when the commands are made, so they are not
postponed. The one rule: a command that has lost anything of an image ends
with status 1, whatever else it printed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.image_comparison import Comparison
from tapekit_dump.image_extraction import Existing, Order, extract
from tapekit_dump.image_job import ImageJob, open_job, whole_image
from tapekit_dump.image_listing import (
    Patterns,
    Row,
    extended_lines,
    long_line,
    path_of,
    row_of,
)
from tapekit_dump.image_report import ImageReport
from tapekit_dump.image_summary import ImageSummary, Tally, summarize_image, summary_lines
from tapekit_dump.image_walk import ContentTaker, Member, PassOver, ReadAll
from tapekit_dump.recover_places import Places
from tapekit_dump.recover_selection import split_path

__all__ = ["image_app"]

_HELP: Final = """Read dump images: files, tapes, or - for standard input.

Images are those of tapekit, of Debian's dump, and of other systems that
write BSD dumps. No stack is needed. With a stack file there is one command
more: tapekit dump dates STACK.
"""
_OPEN_DIRECTORIES: Final = 256

_ImageName: TypeAlias = Annotated[
    str, typer.Argument(metavar="IMAGE", help="The image, or - for standard input.")
]
_AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Chosen: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATTERN", help="Paths to list; * stands for anything."),
]
_Long: TypeAlias = Annotated[
    bool, typer.Option("--long", "-l", help="With type, mode, owner, size and time (UTC).")
]
_Verbose: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="As --long, and below each name its ACLs, DOS attributes, NT streams "
        "and other extended attributes.",
    ),
]
_Paths: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="What to extract; everything by default."),
]
_Into: TypeAlias = Annotated[
    Path, typer.Option("--directory", "-C", metavar="DIR", help="Where to extract to.")
]
_Name: TypeAlias = Annotated[
    str | None,
    typer.Option("--to", metavar="NAME", help="Extract the only PATH under this name in DIR."),
]
_Policy: TypeAlias = Annotated[
    Existing,
    typer.Option(
        help="What becomes of files that are there already: left and told as losses, "
        "left, or replaced. Directories are joined; only replace changes their attributes."
    ),
]
_Against: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Compare with this directory, where the image's root is."),
]


def image_app() -> typer.Typer:
    """The commands."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=_HELP,
    )
    app.command("info")(_info)
    app.command("list")(_list)
    app.command("extract")(_extract)
    app.command("verify")(_verify)
    return app


def _info(image: _ImageName, json: _AsJson = False) -> None:
    """Tell what an image is, what is in it, and whether it is complete."""
    report = ImageReport(sys.stdout, sys.stderr)
    with open_job(image, report, "reading") as job:
        summary = _summary(job, PassOver())
    if json:
        report.say_json(summary)
    else:
        for line in summary_lines(summary):
            report.say(line)
    job.conclude()


def _list(
    image: _ImageName,
    patterns: _Chosen = None,
    long: _Long = False,
    verbose: _Verbose = False,
    json: _AsJson = False,
) -> None:
    """List names: directories first, the rest as it comes in the image."""
    report, chosen = ImageReport(sys.stdout, sys.stderr), Patterns(patterns or ())
    with open_job(image, report, "listing") as job:
        members = (each for each in _members(job, PassOver()) if chosen.choose(each.path))
        if json:
            report.say_json_array(_rows(members))
        else:
            for member in members:
                report.say(long_line(member) if long or verbose else path_of(member))
                for line in extended_lines(member) if verbose else ():
                    report.say(line)
    job.conclude()


def _extract(
    image: _ImageName,
    paths: _Paths = None,
    directory: _Into = Path(),
    to: _Name = None,
    existing: _Policy = Existing.REFUSE,
) -> None:
    """Restore files and directories into a directory.

    Owners are restored by root alone. Everything that is not extracted as
    it was is told; the exit status is 1 if anything is missing, or is not as
    it was but for its owner.
    """
    if to is not None and (len(paths or ()) != 1 or not _is_below(to)):
        raise typer.BadParameter("--to goes with exactly one PATH and names something in DIR")
    if any(b".." in split_path(path) for path in paths or ()):
        raise typer.BadParameter("a PATH names something in the image, without ..")
    report = ImageReport(sys.stdout, sys.stderr)
    with open_job(image, report, "extracting") as job:
        kept = extract(job, Order(directory, paths or (), to, existing))
    if kept:
        job.findings.note(f"{kept} files were there already and were kept")
    findings = job.findings
    if not findings.has_ended_early and (findings.losses or findings.damages):
        raise CATALOGUE.error(
            "extraction-incomplete", losses=findings.losses, damages=findings.damages
        )
    job.conclude()
    if findings.changes:
        raise CATALOGUE.error("extraction-changed", count=findings.changes)


def _verify(image: _ImageName, against: _Against = None, json: _AsJson = False) -> None:
    """Read all of an image and tell what is damaged or missing.

    Headers have checksums; contents have none, so that only a comparison
    tells whether they are right.
    """
    report = ImageReport(sys.stdout, sys.stderr)
    differences = 0
    with open_job(image, report, "verifying") as job:
        if against is None:
            summary = _summary(job, ReadAll())
        else:
            summary, differences = _compare(job, against, report)
    if json:
        report.say_json(summary)
    elif summary.complete:
        report.say(f"{image} is complete: {summary.stream_bytes:,} bytes were read")
    job.conclude()
    if differences:
        raise CATALOGUE.error("image-does-not-match", directory=against, count=differences)


def _is_below(name: str) -> bool:
    path = split_path(name)
    return bool(path) and b".." not in path


def _members(job: ImageJob, taker: ContentTaker) -> Iterator[Member]:
    with job.catalogue((whole_image(),)) as catalogue:
        yield from job.walk(catalogue, taker).members()


def _rows(members: Iterator[Member]) -> Iterator[Row]:
    return (row_of(member) for member in members)


def _summary(job: ImageJob, taker: ContentTaker) -> ImageSummary:
    tally = Tally()
    with job.catalogue((whole_image(),)) as catalogue:
        walk = job.walk(catalogue, taker)
        for member in walk.members():
            tally.count(member)
    return summarize_image(job.name, walk, tally, job.findings, compressed=job.is_compressed)


def _compare(job: ImageJob, directory: Path, report: ImageReport) -> tuple[ImageSummary, int]:
    tally, view = Tally(), whole_image()
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CATALOGUE.error("image-not-opened", path=directory, reason=error.strerror) from error
    try:
        with job.catalogue((view,)) as catalogue:
            places = Places(catalogue.directories, {0: (descriptor, ())}, _OPEN_DIRECTORIES)
            comparison = Comparison(places, view, report.differ)
            try:
                walk = job.walk(catalogue, comparison)
                for member in walk.members():
                    tally.count(member)
                    comparison.judge(member)
            finally:
                comparison.close()
                places.close()
    finally:
        os.close(descriptor)
    summary = summarize_image(job.name, walk, tally, job.findings, compressed=job.is_compressed)
    return summary, comparison.count
