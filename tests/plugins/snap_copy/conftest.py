from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def without_privileges() -> Callable[..., str]:
    """Runs Python code as a process that may not do more than anybody else,
    and gives its output. The code gets the paths in ``sys.argv``.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, and setpriv to give its privileges up")

    def run(code: str, *paths: Path) -> str:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
        done = subprocess.run([*command, *paths], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run
