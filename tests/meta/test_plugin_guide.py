"""The guides for authors of plugins show the files of their examples as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tests.meta.conftest import Project

SHOWN: Final = re.compile(
    r"`([\w/.]+\.(?:py|toml))`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize(
    ("guide", "example", "stack", "files"),
    [
        (
            "docs/writing-a-plugin.md",
            "tests/typing/tapekit-ramtape",
            "ram.toml",
            {
                "pyproject.toml",
                "tapekit_ramtape/plugin.py",
                "tapekit_ramtape/errors.toml",
                "tapekit_ramtape/errors.py",
                "tests/test_conformance.py",
            },
        ),
        (
            "docs/writing-a-data-engine.md",
            "tests/typing/tapekit-flatfiles",
            "flat.toml",
            {
                "tapekit_flatfiles/plugin.py",
                "tapekit_flatfiles/engine.py",
                "tapekit_flatfiles/jobs.py",
                "tapekit_flatfiles/errors.toml",
                "tests/test_conformance.py",
            },
        ),
    ],
    ids=["plugin", "data engine"],
)
def test_the_guides_show_the_files_of_their_examples(
    guide: str, example: str, stack: str, files: set[str], project: Project
) -> None:
    shown = dict(SHOWN.findall((project.root / guide).read_text("utf-8")))
    shown.pop(stack)
    assert set(shown) == files
    for name, text in shown.items():
        assert text == (project.root / example / name).read_text("utf-8"), name


def test_the_guide_names_every_check(project: Project) -> None:
    import tapekit.testing

    guide = (project.root / "docs/writing-a-plugin.md").read_text("utf-8")
    checks = {name for name in tapekit.testing.__all__ if name.startswith("check_")}
    assert set(re.findall(r"^\| `(check_\w+)` \|", guide, re.MULTILINE)) == checks
