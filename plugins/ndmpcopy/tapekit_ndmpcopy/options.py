"""The words of the command line: options as the guide spells them, and ours.

Options with one dash are the guide's; those with two dashes are additions.
The one rule: an option is described here and nowhere else.
"""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from tapekit_ndmpcopy.logins import AuthWord
from tapekit_ndmpcopy.places import Family

__all__ = [
    "AllowLoopback",
    "AsJson",
    "DataFamily",
    "Debug",
    "DestinationAuth",
    "DestinationFamily",
    "DestinationLogin",
    "DestinationPlace",
    "Exclude",
    "Force",
    "Level",
    "LogDirectory",
    "PasswordFile",
    "Port",
    "Prompt",
    "SecureBy",
    "SourceAuth",
    "SourceFamily",
    "SourceLogin",
    "SourcePlace",
]

SourcePlace: TypeAlias = Annotated[str, typer.Argument(metavar="SOURCE")]
DestinationPlace: TypeAlias = Annotated[str, typer.Argument(metavar="DESTINATION")]
SourceLogin: TypeAlias = Annotated[
    str, typer.Option("-sa", metavar="USER:[PASSWORD]", help="Login at the source.")
]
DestinationLogin: TypeAlias = Annotated[
    str, typer.Option("-da", metavar="USER:[PASSWORD]", help="Login at the destination.")
]
SourceAuth: TypeAlias = Annotated[
    AuthWord, typer.Option("-st", help="Authentication type at the source.")
]
DestinationAuth: TypeAlias = Annotated[
    AuthWord | None,
    typer.Option("-dt", help="Authentication type at the destination; default: that of -st."),
]
Level: TypeAlias = Annotated[
    int, typer.Option("-l", min=0, max=9, help="Level: 0 full, 1 to 9 incremental.")
]
Debug: TypeAlias = Annotated[
    bool, typer.Option("-d", help="Log every message to ndmpcopy.yyyymmdd.")
]
Force: TypeAlias = Annotated[
    bool,
    typer.Option(
        "-f",
        help="Forced mode, for system files of 7-Mode root volumes; without effect, "
        "since no other volume has such files.",
    ),
]
Prompt: TypeAlias = Annotated[
    bool, typer.Option("-p", help="Ask for both passwords; for a terminal only.")
]
Exclude: TypeAlias = Annotated[
    str,
    typer.Option(
        "-exclude",
        metavar="NAME,...",
        help="Files and directories to leave out; a name may begin or end with *.",
    ),
]
SourceFamily: TypeAlias = Annotated[
    Family | None, typer.Option("-mcs", help="Address mode of the control connection to SOURCE.")
]
DestinationFamily: TypeAlias = Annotated[
    Family | None,
    typer.Option("-mcd", help="Address mode of the control connection to DESTINATION."),
]
DataFamily: TypeAlias = Annotated[
    Family | None, typer.Option("-md", help="Address mode of the data connection.")
]
PasswordFile: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the password in its first line.")
]
Port: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        metavar="PORT",
        help="TCP port of that server; default: 10000, or 30000 with TLS.",
    ),
]
SecureBy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="PROOF",
        help="Secure control connection: the SHA-256 fingerprint of the server's certificate, "
        "or a file of certificates to trust.",
    ),
]
AllowLoopback: TypeAlias = Annotated[
    bool, typer.Option("--allow-loopback", help="Allow addresses such as 127.0.0.1.")
]
LogDirectory: TypeAlias = Annotated[Path, typer.Option(metavar="FOLDER", help="Where -d logs.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]
