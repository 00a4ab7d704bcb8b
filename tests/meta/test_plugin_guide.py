"""docs/writing-a-plugin.md shows the files of the example as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.meta.conftest import Project

SHOWN: Final = re.compile(
    r"`([\w/.]+\.(?:py|toml))`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
EXAMPLE: Final = "tests/typing/tapekit-ramtape"
STACK: Final = "ram.toml"


def test_the_guide_shows_the_files_of_the_example(project: Project) -> None:
    guide = (project.root / "docs/writing-a-plugin.md").read_text("utf-8")
    shown = dict(SHOWN.findall(guide))
    shown.pop(STACK)
    assert set(shown) == {
        "pyproject.toml",
        "tapekit_ramtape/plugin.py",
        "tapekit_ramtape/errors.toml",
        "tapekit_ramtape/errors.py",
        "tests/test_conformance.py",
    }
    for name, text in shown.items():
        assert text == (project.root / EXAMPLE / name).read_text("utf-8"), name


def test_the_guide_names_every_check(project: Project) -> None:
    import tapekit.testing

    guide = (project.root / "docs/writing-a-plugin.md").read_text("utf-8")
    checks = {name for name in tapekit.testing.__all__ if name.startswith("check_")}
    assert set(re.findall(r"^\| `(check_\w+)` \|", guide, re.MULTILINE)) == checks
