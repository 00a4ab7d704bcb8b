"""Every error row is raised, and every raise gives what its row needs."""

from __future__ import annotations

import ast
import string
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.meta.conftest import Project

MAKERS: Final = {"error": 0, "raised_as": 1}
"""The methods of a catalogue that make errors, and which argument is the key."""


@dataclass(frozen=True)
class Table:
    """A catalogue: who owns it, and its rows as they stand in the file."""

    path: str
    owner: str
    name: str
    folder: Path
    rows: dict[str, dict[str, str]]
    read_by_classes: frozenset[str] = frozenset()
    """Facts that the class of an error reads, such as a tape's condition."""

    def facts(self, key: str) -> set[str]:
        """The placeholders that an operator gets to see filled in."""
        return placeholders(self.rows[key]["message"]) | placeholders(self.rows[key]["action"])

    def hints(self, key: str) -> set[str]:
        """The placeholders of the cause, which may be left standing."""
        return placeholders(self.rows[key]["cause"])


@dataclass(frozen=True)
class Raise:
    """A place where a row is made into an error."""

    place: str
    key: str | None
    given: frozenset[str]


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def tables(project: Project) -> Iterator[Table]:
    """The catalogues of core, of its test aids and of all plugins."""
    folders = {
        "core": ("CORE", project.core),
        "testing": ("CATALOGUE", project.core / "testing"),
        **{name: ("CATALOGUE", project.package(name)) for name in project.plugins},
    }
    for owner, (name, folder) in folders.items():
        file = folder / "errors.toml"
        if file.exists():
            rows = tomllib.loads(file.read_text("utf-8"))
            path = file.relative_to(project.root).as_posix()
            yield Table(path, owner, name, folder, rows, read_facts(project, folder))


def read_facts(project: Project, folder: Path) -> frozenset[str]:
    """The facts that code of core or of a package looks up by name."""
    trees = [tree for place in (project.core, folder) for _, tree in project.modules(place)]
    return frozenset(fact for tree in trees for fact in looked_up(tree))


def looked_up(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(
                value=ast.Name(id="facts") | ast.Attribute(attr="facts"),
                slice=ast.Constant(value=str(fact)),
            ):
                yield fact


def raises(project: Project, table: Table) -> Iterator[Raise]:
    """Every call that makes an error of this catalogue."""
    for path, tree in project.modules(table.folder):
        for call in ast.walk(tree):
            match call:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id=name), attr=("error" | "raised_as") as maker
                    )
                ) if name == table.name:
                    yield one_raise(f"{path}:{call.lineno}", call, MAKERS[maker])


def one_raise(place: str, call: ast.Call, at: int) -> Raise:
    match call.args[at : at + 1]:
        case [ast.Constant(value=str(key))]:
            pass
        case _:
            key = None
    given = frozenset(keyword.arg or "**" for keyword in call.keywords)
    return Raise(place, key, given)


def faults_of(table: Table, made: Raise) -> Iterator[str]:
    if made.key is None:
        yield f"{made.place}: the key is not a literal"
    elif made.key not in table.rows:
        yield f"{made.place}: {table.path} has no row {made.key}"
    else:
        wanted = table.facts(made.key)
        given = made.given - ((table.read_by_classes | table.hints(made.key)) - wanted)
        if given != wanted:
            yield f"{made.place}: {made.key} needs {sorted(wanted)} and gets {sorted(given)}"


def test_every_raise_names_a_row_and_gives_its_facts(project: Project) -> None:
    found = [
        fault
        for table in tables(project)
        for made in raises(project, table)
        for fault in faults_of(table, made)
    ]
    assert not found, "\n".join(found)


def test_every_row_is_raised(project: Project) -> None:
    found = [
        f"{table.path}: {key} is raised nowhere"
        for table in tables(project)
        for key in table.rows.keys() - {made.key for made in raises(project, table)}
    ]
    assert not found, "\n".join(found)


def test_every_row_has_three_texts_and_nothing_loose(project: Project) -> None:
    found = [
        f"{table.path}: {key}: {problem}"
        for table in tables(project)
        for key, row in table.rows.items()
        for problem in loose_ends(row)
    ]
    assert not found, "\n".join(found)


def loose_ends(row: dict[str, str]) -> Iterator[str]:
    if row.keys() != {"message", "cause", "action"}:
        yield f"has the fields {sorted(row)}"
    for field, text in row.items():
        if not text or text != text.strip():
            yield f"{field} is empty, or has blanks at an end"
        if "\n" in text or "  " in text:
            yield f"{field} has a line break or two blanks together"


def test_identifiers_are_unique_and_begin_with_their_owner(project: Project) -> None:
    found = list(tables(project))
    identifiers = [f"{table.owner}.{key}" for table in found for key in table.rows]
    assert len(identifiers) == len(set(identifiers))
    for table in found:
        opened = {args for _, tree in project.modules(table.folder) for args in catalogues(tree)}
        package = f"tapekit_{table.owner}"
        wanted = {"core": ("core", "tapekit"), "testing": ("testing", "tapekit.testing")}
        mine = {args for args in opened if args[0] == table.owner}
        assert mine == {wanted.get(table.owner, (table.owner, package))}, table.path


def catalogues(tree: ast.Module) -> Iterator[tuple[object, ...]]:
    """The arguments of each ``Catalogue.of`` in a module."""
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="Catalogue"), attr="of"), args=args):
                yield tuple(arg.value if isinstance(arg, ast.Constant) else arg for arg in args)


def test_a_wrong_raise_is_found(project: Project) -> None:
    rows = {"row": {"message": "{a} and {b}", "cause": "{d}.", "action": "do {c}."}}
    table = Table("errors.toml", "x", "CATALOGUE", project.root, rows, frozenset({"condition"}))
    source = "CATALOGUE.raised_as(E, 'row', {})"

    def told(text: str) -> list[str]:
        (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        return list(faults_of(table, one_raise("m.py:1", call, 1)))

    assert told(source.format("a=1, b=2, c=3, condition=4")) == []
    assert told(source.format("a=1, b=2, c=3, d=4")) == []
    assert told(source.format("a=1, b=2")) == [
        "m.py:1: row needs ['a', 'b', 'c'] and gets ['a', 'b']"
    ]
    assert told(source.format("**facts")) == ["m.py:1: row needs ['a', 'b', 'c'] and gets ['**']"]
    assert told("CATALOGUE.raised_as(E, 'rows')") == ["m.py:1: errors.toml has no row rows"]
    assert told("CATALOGUE.raised_as(E, key)") == ["m.py:1: the key is not a literal"]
