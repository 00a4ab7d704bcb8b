"""The plugin in a stack: with its library, without it, with a foreign one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitPart, NoSettings
from tapekit_dump_native import library, loops
from tapekit_dump_native.plugin import DumpNativePlugin

SOURCE = Path(library.__file__).with_name("loops.c")
SITE: Any = None


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the library is looked for."""
    path = tmp_path / "libloops.so"
    monkeypatch.setattr(library, "LIBRARY", path)
    return path


def compile_to(path: Path, source: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    command = (compiler, "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared", "-fPIC")
    subprocess.run((*command, "-o", str(path), str(source)), check=True)


def test_a_compiled_library_is_offered(at: Path) -> None:
    compile_to(at, SOURCE)
    offered = DumpNativePlugin(NoSettings()).tapekit_provide_small_file_loops()
    assert isinstance(offered, loops.NativeLoops)
    assert DumpNativePlugin.init_part(SITE) == InitPart()


@pytest.mark.usefixtures("at")
def test_without_a_library_it_says_what_to_do() -> None:
    assert DumpNativePlugin.init_part(SITE) is None
    with pytest.raises(TapekitError, match="There is no compiled library") as raised:
        DumpNativePlugin(NoSettings()).tapekit_provide_small_file_loops()
    assert "take dump_native out" in raised.value.advice


def test_a_library_of_another_version_is_refused(at: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.c"
    other.write_text(SOURCE.read_text().replace("uint64_t small;", "uint64_t small, more;"))
    compile_to(at, other)
    with pytest.raises(TapekitError, match="its structures are others"):
        library.load()


def test_what_is_no_library_is_refused(at: Path) -> None:
    at.write_bytes(b"no library")
    with pytest.raises(TapekitError, match="cannot be used"):
        library.load()
