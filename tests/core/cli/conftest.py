"""Fixtures that run command lines, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.cli import execute
from tapekit.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Outcome(NamedTuple):
    """How a command line ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def tapekit(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    available: Callable[..., Any],
) -> Callable[..., Outcome]:
    """Runs a command line in the test's folder, with these plugin classes
    (or what discovery would find) installed.
    """
    monkeypatch.chdir(tmp_path)

    def command(
        *arguments: str, plugins: tuple[Any, ...] = (), environment: dict[str, str] | None = None
    ) -> Outcome:
        found = [available(plugin) if hasattr(plugin, "manifest") else plugin for plugin in plugins]
        status = execute(arguments, Shell(lambda: found, environment or {}, lambda: 0.0))
        return Outcome(status, *capsys.readouterr())

    return command


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., None]:
    """Installs a plugin for processes of its own: its name and its source."""

    def write(name: str, source: str, errors: str | None = None) -> None:
        info = tmp_path / f"{name}-1.5.dist-info"
        package = tmp_path / f"test_{name}"
        info.mkdir()
        package.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(
            f"[tapekit.plugins]\n{name} = test_{name}.plugin:Plugin\n"
        )
        (package / "__init__.py").touch()
        (package / "plugin.py").write_text(source)
        if errors is not None:
            (package / "errors.toml").write_text(errors)

    return write


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``tapekit`` in a process of its own, in the test's folder."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tapekit", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.fspath(tmp_path)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()
