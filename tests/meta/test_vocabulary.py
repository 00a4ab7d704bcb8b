"""No file speaks of the place where it was written, or of work left undone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

UNDONE: Final = ("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")
PLACES: Final = tuple(f"/{folder}/" for folder in ("work", "farm", "tmp/h"))
PHRASES: Final = (
    *("facts " + "sheet", "issue " + "#", "helper " + "agent"),
    *("the " + "architect", "the " + "brief", "as " + "requested", "req" + "uirements.md"),
)

WORDS: Final = re.compile(
    "|".join(
        (
            rf"(?<![\w/.-])(?:{'|'.join(map(re.escape, PLACES))})",
            rf"\b(?:{'|'.join(UNDONE)})\b",
            rf"\b(?:{'|'.join(map(re.escape, PHRASES))})",
        )
    )
)

FOLDERS: Final = ("core", "plugins", "tests", "docs", ".ci")
SUFFIXES: Final = frozenset({".py", ".md", ".toml", ".json", ".txt", ".cfg", ".yaml", ""})


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Every text file of the project: its path and what it says."""
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*"))]
    for file in (*files, *sorted(root.iterdir())):
        if file.is_file() and file.suffix in SUFFIXES and "__pycache__" not in file.parts:
            yield file.relative_to(root).as_posix(), file.read_text("utf-8")


def test_no_file_has_a_word_of_the_list(project: Project) -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts(project.root)
        for match in WORDS.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_the_words_are_found_where_they_stand() -> None:
    for word in (*UNDONE, *PLACES, *PHRASES):
        assert WORDS.search(f"see {word} for more"), word
    assert not WORDS.search("a hacksaw, homework/lists and one brief note")


def test_no_module_has_a_name_that_says_nothing(project: Project) -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "misc", "shared"}
    found = [
        path for path, _ in project.shipped() if nothing & set(Path(path).with_suffix("").parts)
    ]
    assert not found, "\n".join(found)
