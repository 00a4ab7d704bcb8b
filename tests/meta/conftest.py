"""The project as data: its folders, its plugins, its sources as syntax trees."""

from __future__ import annotations

import ast
import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Project:
    """Where things are; paths below ``root``."""

    root: Path

    @functools.cached_property
    def plugins(self) -> tuple[str, ...]:
        """The plugins' names: the folders in ``plugins/``."""
        folders = (self.root / "plugins").iterdir()
        return tuple(sorted(folder.name for folder in folders if not folder.name.startswith(".")))

    @functools.cached_property
    def pyproject(self) -> dict[str, Any]:
        """The project file."""
        return tomllib.loads((self.root / "pyproject.toml").read_text("utf-8"))

    def package(self, plugin: str) -> Path:
        """The folder of a plugin's package."""
        return self.root / "plugins" / plugin / f"tapekit_{plugin}"

    @property
    def core(self) -> Path:
        """The folder of the core's package."""
        return self.root / "core" / "tapekit"

    @property
    def packages(self) -> dict[str, Path]:
        """All shipped packages by name."""
        plugins = {f"tapekit_{name}": self.package(name) for name in self.plugins}
        return {"tapekit": self.core, **plugins}

    def modules(self, folder: Path) -> Iterator[tuple[str, ast.Module]]:
        """The Python files below a folder, as path and syntax tree."""
        for file in sorted(folder.rglob("*.py")):
            yield file.relative_to(self.root).as_posix(), parsed(file)

    def shipped(self) -> Iterator[tuple[str, ast.Module]]:
        """The modules of all shipped packages."""
        for folder in self.packages.values():
            yield from self.modules(folder)


@functools.cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text("utf-8"), str(file))


@pytest.fixture(scope="session")
def project() -> Project:
    return Project(Path(__file__).parents[2])
