"""``tapekit smtape info``: what an image says of itself, without a stack.

Typer reads annotations when the commands are made, so they are not
postponed. The one rule: nothing of an image but its header is read.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tapekit.console import say, say_json
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.image_summary import ImageSummary, summarize, summary_lines

__all__ = ["image_app"]

_STANDARD_INPUT = "-"
_HELP = """Read images of volumes: files, tapes, or - for standard input.

No stack is needed.
"""


def image_app() -> typer.Typer:
    """The commands."""
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=_HELP,
    )
    # A group with one command would otherwise be that command.
    app.callback()(lambda: None)
    app.command("info")(_info)
    return app


def _info(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="The image, or - for standard input.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
) -> None:
    """Tell which volume an image is of, and which Snapshot copies are in it."""
    summary = _read(image)
    if json:
        say_json(summary)
    else:
        for line in summary_lines(summary):
            say(line)


def _read(image: str) -> ImageSummary:
    if image == _STANDARD_INPUT:
        return summarize(sys.stdin.buffer)
    try:
        with Path(image).open("rb") as file:
            return summarize(file)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CATALOGUE.error("image-not-read", image=image, reason=reason) from error
