"""The option by which commands are told which library is meant.

A module of its own, since typer looks the type up where the command is. The
one rule: without the option a command works on the only library, on the only one
that has the cartridge that it names, or on none.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["LibraryName"]

LibraryName: TypeAlias = Annotated[
    str | None,
    typer.Option("--library", metavar="NAME", help="Which library, where several could be meant."),
]
