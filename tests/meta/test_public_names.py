"""``__all__`` is the public face of a module: all of it and nothing else."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

GENERIC: Final = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})


def public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines or passes on under a public name."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(decorator_list=marks) if any(map(is_command, marks)):
                continue
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets, value=value) if not is_generic(value):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.ImportFrom(names=names):
                yield from (a.asname for a in names if a.asname and a.asname == a.name)


def passed_on(tree: ast.Module) -> Iterator[str]:
    """What a module imports and may list."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def is_command(mark: ast.expr) -> bool:
    """Whether a decorator makes a function a command: the shell calls it, nobody else."""
    match mark:
        case ast.Call(func=ast.Attribute(attr="command" | "callback")):
            return True
        case _:
            return False


def is_generic(value: ast.expr) -> bool:
    """Whether a value is a type variable: it has a name only for its module."""
    match value:
        case ast.Call(func=ast.Name(id=name)):
            return name in GENERIC
        case _:
            return False


def declared(tree: ast.Module) -> list[str] | None:
    """The names in ``__all__``, or ``None`` without one."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names = ast.literal_eval(value)
                return [str(name) for name in names]
    return None


def faults(path: str, tree: ast.Module) -> Iterator[str]:
    public = {name for name in public_names(tree) if not name.startswith("_")}
    names = declared(tree)
    if names is None:
        if public and not path.endswith("__init__.py"):
            yield f"{path}: no __all__ for {sorted(public)}"
        return
    if len(names) != len(set(names)):
        yield f"{path}: __all__ names something twice"
    for name in sorted(set(names) - public - set(passed_on(tree))):
        yield f"{path}: __all__ has {name}, the module has not"
    for name in sorted(public - set(names)):
        yield f"{path}: {name} is public and not in __all__"


def test_all_lists_are_the_public_names(project: Project) -> None:
    found = [fault for path, tree in project.shipped() for fault in faults(path, tree)]
    assert not found, "\n".join(found)


def test_every_shipped_module_says_what_it_is_for(project: Project) -> None:
    found = [
        f"{path}: no docstring"
        for path, tree in project.shipped()
        if len((ast.get_docstring(tree) or "").strip()) < 10
    ]
    assert not found, "\n".join(found)


def test_every_shipped_package_is_typed(project: Project) -> None:
    lacking = [
        name for name, folder in project.packages.items() if not (folder / "py.typed").exists()
    ]
    assert lacking == []


def test_wrong_lists_are_found() -> None:
    source = '__all__ = ["a", "b", "b"]\nT = TypeVar("T")\n_x = 1\ndef a(): ...\nc: int = 1\n'
    assert list(faults("m.py", ast.parse(source))) == [
        "m.py: __all__ names something twice",
        "m.py: __all__ has b, the module has not",
        "m.py: c is public and not in __all__",
    ]
    assert list(faults("m.py", ast.parse("def a(): ..."))) == ["m.py: no __all__ for ['a']"]
