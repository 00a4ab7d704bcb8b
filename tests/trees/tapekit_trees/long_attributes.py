"""A folder whose files may have attributes as long as Linux allows."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["attributes_of", "long_attributes_folder"]


@contextlib.contextmanager
def long_attributes_folder() -> Iterator[Path]:
    """A new folder on tmpfs; skips the test where there is none, or where it
    lets this process set no NT ACL.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="tapekit-", dir="/dev/shm"))
    except OSError:
        pytest.skip("there is no tmpfs here")
    try:
        try:
            os.setxattr(folder, "security.NTACL", bytes(65536))
            os.removexattr(folder, "security.NTACL")
        except OSError:
            pytest.skip("no file system for long attributes here")
        yield folder
    finally:
        shutil.rmtree(folder)


def attributes_of(path: Path) -> dict[str, bytes]:
    """All extended attributes of a file or directory."""
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}
