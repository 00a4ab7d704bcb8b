"""``tapekit PLUGIN ...`` of plugins that are clients: no stack file anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
import typer

from tapekit.errors import CORE

if TYPE_CHECKING:
    from collections.abc import Callable

    Tapekit = Callable[..., Any]
    MakePlugin = Callable[..., Any]


def fetching(failing: bool = False) -> typer.Typer:
    """An application of one command."""
    app = typer.Typer(add_completion=False)

    @app.command(context_settings={"help_option_names": ["-h", "--help"]})
    def fetch(place: str, user: Annotated[str, typer.Option("-sa")] = "nobody") -> None:
        """Fetch something from another machine."""
        if failing:
            raise CORE.error("site-exists", file=place)
        typer.echo(f"{place} as {user}")

    return app


def client(plugin: MakePlugin, answer: Callable[[], Any], **options: Any) -> Any:
    commands = classmethod(lambda _cls: answer())
    return plugin("fetch", attributes={"client_commands": commands}, **options)


def test_a_client_needs_no_stack_file(tapekit: Tapekit, plugin: MakePlugin) -> None:
    outcome = tapekit("fetch", "10.0.0.1:/x", "-sa", "me", plugins=(client(plugin, fetching),))
    assert (outcome.status, outcome.out) == (0, "10.0.0.1:/x as me\n")


def test_a_client_gets_its_line_as_it_is(tapekit: Tapekit, plugin: MakePlugin) -> None:
    """Elsewhere an argument that ends in .toml is the stack file."""
    outcome = tapekit("fetch", "/vs1/x.toml", plugins=(client(plugin, fetching),))
    assert outcome.out == "/vs1/x.toml as nobody\n"


def test_the_help_of_a_client_names_the_line_that_one_types(
    tapekit: Tapekit, plugin: MakePlugin
) -> None:
    outcome = tapekit("fetch", "-h", plugins=(client(plugin, fetching),))
    assert outcome.status == 0
    assert "Usage: tapekit fetch [OPTIONS]" in outcome.out
    assert "Fetch something from another machine." in outcome.out


def test_a_wrong_option_of_a_client_is_wrong_use(tapekit: Tapekit, plugin: MakePlugin) -> None:
    assert tapekit("fetch", "-x", plugins=(client(plugin, fetching),)).status == 2


def test_errors_of_a_client_are_told_like_the_shells_own(
    tapekit: Tapekit, plugin: MakePlugin
) -> None:
    failing = client(plugin, lambda: fetching(failing=True))
    outcome = tapekit("fetch", "x", plugins=(failing,))
    assert outcome.status == 1
    assert outcome.err.endswith("(tapekit explain core.site-exists)\n")


def reading() -> typer.Typer:
    """An application of two commands."""
    app = typer.Typer(add_completion=False)
    app.command("this")(lambda: typer.echo("this"))
    app.command("that")(lambda: typer.echo("that"))
    return app


def test_a_client_of_several_commands_is_asked_by_their_names(
    tapekit: Tapekit, plugin: MakePlugin
) -> None:
    outcome = tapekit("fetch", "that", plugins=(client(plugin, reading),))
    assert (outcome.status, outcome.out) == (0, "that\n")


def test_what_such_a_client_lacks_is_left_to_a_stack(tapekit: Tapekit, plugin: MakePlugin) -> None:
    outcome = tapekit("fetch", "other", plugins=(client(plugin, reading),))
    assert outcome.status == 2
    assert '"fetch" is no command of tapekit itself' in outcome.err


def test_a_plugin_that_is_no_client_needs_a_stack(tapekit: Tapekit, plugin: MakePlugin) -> None:
    outcome = tapekit("vtape", "list", plugins=(plugin("vtape"),))
    assert outcome.status == 2
    assert '"vtape" is no command of tapekit itself' in outcome.err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("oh"), 'plugin "fetch" failed in client_commands: ValueError: oh'),
        (CORE.error("site-exists", file="f"), str(CORE.error("site-exists", file="f"))),
    ],
)
def test_a_client_that_fails_to_begin_is_told(
    tapekit: Tapekit, plugin: MakePlugin, error: Exception, message: str
) -> None:
    def fail() -> typer.Typer:
        raise error

    outcome = tapekit("fetch", "x", plugins=(client(plugin, fail),))
    assert outcome.status == 1
    assert message in outcome.err


def test_no_other_plugin_is_imported(
    tapekit: Tapekit, plugin: MakePlugin, available: Callable[..., Any]
) -> None:
    other = available(plugin("other"))
    other._loader = None
    outcome = tapekit("fetch", "x", plugins=(client(plugin, fetching), other))
    assert outcome.status == 0
