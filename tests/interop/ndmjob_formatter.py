"""A formatter for NDMJOB's DATA agent around GNU tar.

NDMJOB runs ``wrap_TYPE -c|-x -I#3 -E NAME=VALUE ... [NAME @POSITION TARGET ...]``
with the image on standard output or input, and reads on descriptor 3 what
goes to the client: ``HF`` lines are file history, ``DR`` lines ask for data.
"""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys
from pathlib import Path

KINDS = {stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l"}


def main() -> None:
    arguments = sys.argv[1:]
    pairs = itertools.pairwise(arguments)
    environment = dict(value.split("=", 1) for flag, value in pairs if flag == "-E")
    with os.fdopen(3, "w") as to_client:
        if "-c" in arguments:
            root = Path(environment["FILESYSTEM"])
            tar("-c", root)
            for path in sorted(root.rglob("*")):
                to_client.write(history(root, path))
        else:
            to_client.write("DR 0 -1\n")
            to_client.flush()
            tar("-x", Path(environment["PREFIX"]))


def tar(task: str, directory: Path) -> None:
    """Run GNU tar on the image. A restore ends when this program does, so what
    pads the last record is left unread.
    """
    paths = ["."] if task == "-c" else []
    subprocess.run(["tar", task, "-f", "-", "-C", directory, "--xattrs", *paths], check=True)


def history(root: Path, path: Path) -> str:
    """A line of file history; bytes that are not plain are escaped as ``%xx``."""
    status = path.lstat()
    name = "".join(
        chr(byte) if 0x21 <= byte < 0x7F and byte != 0x25 else f"%{byte:02X}"
        for byte in b"/" + os.fsencode(path.relative_to(root))
    )
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    return f"HF {name} @0 f{kind} m{stat.S_IMODE(status.st_mode):04o} i{status.st_ino}\n"


main()
