"""Compiles ``loops.c`` when the package is built, if there is a C compiler.

A build hook of hatchling. The package is complete without the library, so
that a machine without a compiler installs it all the same.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path(__file__).parent / "tapekit_dump_native"
FLAGS = ("-O2", "-Wall", "-Wextra", "-fPIC", "-shared")


class BuildLibrary(BuildHookInterface[Any]):
    """Puts ``libloops.so`` beside its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's
        """Compile, and mark a wheel that has the library as one of this machine."""
        library = PACKAGE / "libloops.so"
        if self.target_name != "wheel" or not self._compile(library):
            return
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def _compile(self, library: Path) -> bool:
        compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
        found = shutil.which("cc") or shutil.which(compiler)
        library.unlink(missing_ok=True)
        if found is None:
            self.app.display_info("no C compiler: dump_native is left without its library")
            return False
        # Under another name first: what is there is whole.
        fresh = library.with_suffix(".new")
        command = (found, *FLAGS, "-o", str(fresh), str(PACKAGE / "loops.c"))
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            fresh.unlink(missing_ok=True)
            self.app.display_warning(f"dump_native is left without its library: {made.stderr}")
            return False
        fresh.replace(library)
        return True
