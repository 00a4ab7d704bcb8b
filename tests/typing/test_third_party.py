"""Strangers' plugins: built, installed, found, checked and typed like ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).parent
RAMTAPE = SOURCES / "tapekit-ramtape"
FLATFILES = SOURCES / "tapekit-flatfiles"


def run(
    *command: str | Path, path: Path | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program that must succeed, with ``path`` among Python's and mypy's folders."""
    added = {} if path is None else {"PYTHONPATH": str(path), "MYPYPATH": str(path)}
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **added},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the strangers' distributions are installed, built offline."""
    sources = tmp_path_factory.mktemp("sources")
    target = tmp_path_factory.mktemp("installed")
    copies = [sources / source.name for source in (RAMTAPE, FLATFILES)]
    for copy in copies:
        shutil.copytree(SOURCES / copy.name, copy, ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", target, *copies)
    return target


def test_a_strangers_plugin_is_listed_with_its_origin(installed: Path) -> None:
    shown = run(sys.executable, "-m", "tapekit", "plugins", "--json", path=installed)
    (row,) = (row for row in json.loads(shown.stdout) if row["name"] == "ramtape")
    assert row["origin"] == "tapekit-ramtape 1.0.0"
    assert row["summary"] == "Tapes in memory"
    assert row["hooks"] == ["tapekit_register_tape_drivers"]
    assert row["problem"] is None
    (row,) = (row for row in json.loads(shown.stdout) if row["name"] == "flatfiles")
    assert row["origin"] == "tapekit-flatfiles 1.0.0"


def test_a_strangers_errors_and_settings_are_explained(installed: Path) -> None:
    shown = run(sys.executable, "-m", "tapekit", "explain", "ramtape.busy", path=installed)
    assert "Somebody has opened the drive" in shown.stdout
    shown = run(sys.executable, "-m", "tapekit", "settings", "ramtape", path=installed)
    assert "How many drives there are" in shown.stdout


def test_a_strangers_stack_is_judged(installed: Path, tmp_path: Path) -> None:
    stack = tmp_path / "tapekit.toml"
    stack.write_text('plugins = ["ramtape"]\n\n[ramtape]\ndrives = 2\n')
    run(sys.executable, "-m", "tapekit", "check", stack, path=installed)


@pytest.mark.parametrize(
    ("source", "told"), [(RAMTAPE, "3 passed"), (FLATFILES, "6 passed")], ids=["drive", "engine"]
)
def test_a_strangers_tests_pass(source: Path, told: str, installed: Path, tmp_path: Path) -> None:
    config = tmp_path / "pytest.ini"
    config.write_text("[pytest]\n")
    pytest_alone = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", config)
    result = run(*pytest_alone, source / "tests", path=installed, cwd=tmp_path)
    assert told in result.stdout


def test_a_strangers_plugin_is_typed(installed: Path, tmp_path: Path) -> None:
    # Its own configuration, as a stranger's, so that none of ours helps.
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n")
    cache = tmp_path / "cache"
    run(
        *(sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", cache),
        *("-p", "tapekit_ramtape", "-p", "tapekit_flatfiles"),
        path=installed,
        cwd=tmp_path,
    )


def test_a_driver_that_breaks_the_contract_is_no_driver_to_the_type_checker(
    installed: Path, tmp_path: Path
) -> None:
    package = tmp_path / "tapekit_ramtape"
    shutil.copytree(installed / "tapekit_ramtape", package)
    plugin = package / "plugin.py"
    text = plugin.read_text()
    method = "def discover(self) -> Sequence[DriveDescription]:"
    assert method in text
    plugin.write_text(text.replace(method, "def look(self) -> Sequence[DriveDescription]:"))
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "-p", "tapekit_ramtape"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 1, result.stdout
    assert '"RamTapeDriver"; expected "TapeDriver"' in result.stdout


def test_the_plugin_module_is_short() -> None:
    module = RAMTAPE / "tapekit_ramtape" / "plugin.py"
    assert len(module.read_text().splitlines()) <= 60
