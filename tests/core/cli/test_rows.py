from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from tapekit.cli.rows import catalogues, hook_rows, load_all, plugin_rows
from tapekit.errors import CORE
from tapekit.hookspecs import SUBJECTS, hookspec
from tapekit.kernel import Available

if TYPE_CHECKING:
    from collections.abc import Callable

    MakePlugin = Callable[..., Any]
    MakeAvailable = Callable[..., Available]


def broken() -> object:
    raise ImportError("no libtape")


def test_every_hook_of_core_has_a_row_in_the_order_of_the_pages() -> None:
    rows = list(hook_rows({}))
    assert [row.name for row in rows][:2] == ["tapekit_on_assembled", "tapekit_run"]
    assert list(dict.fromkeys(row.subject for row in rows)) == [
        module.__name__.rpartition(".")[2] for module in SUBJECTS
    ]
    assert all(row.summary.endswith(".") and row.implemented_by == () for row in rows)


def test_an_implementation_under_another_name_counts(plugin: MakePlugin) -> None:
    def specification(wind: int) -> None:
        """Trim."""

    module = ModuleType("hooks")
    vars(module)["tapekit_trim"] = hookspec(specification)
    owner = plugin("sail", attributes={"hookspecs": module})
    row = list(hook_rows({"sail": owner, "crew": plugin("crew", tapekit_trim=lambda self: 1)}))[-1]
    assert (row.name, row.implemented_by, row.summary) == ("tapekit_trim", ("crew",), "Trim.")


def test_loading_all_keeps_plugins_and_errors_apart(
    plugin: MakePlugin, available: MakeAvailable
) -> None:
    good = plugin("good")
    plugins, errors = load_all([available(good), Available("bad", "b 1", "b", broken)])
    assert plugins == {"good": good}
    assert [error.id for error in errors.values()] == ["core.plugin-not-importable"]


def test_a_row_tells_why_a_plugin_cannot_be_used(
    plugin: MakePlugin, available: MakeAvailable
) -> None:
    bad, good = plugin_rows(
        [Available("bad", "b 1", "b", broken), available(plugin("good"))], {"good"}
    )
    assert bad.problem is not None
    assert "no libtape" in bad.problem
    assert (bad.enabled, good.enabled, good.problem) == (False, True, None)


def test_the_catalogue_of_core_is_always_there() -> None:
    found, errors = catalogues([Available("none", "n 1", "nowhere_at_all", broken)])
    assert dict(found) == {"core": CORE}
    assert not errors
