"""The shell's own commands: what they are called, take and print.

Typer reads the annotations when the commands are made, so this module does
not postpone them. A command finds, prints, and leaves errors to the caller.
The one rule: what it finds with is imported when it runs, so that the help of
all of them costs none.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapekit.cli.choices import LogFormat, LogLevel, Trace
from tapekit.cli.shell import Shell, WrongUse, shell_of
from tapekit.errors import CORE, Fault, StartErrors, TapekitError

if TYPE_CHECKING:
    from tapekit.cli.rows import HookRow, PluginRow

__all__ = ["app"]

app = typer.Typer(
    name="tapekit",
    help="An open NDMP v4 backup stack of plugins.",
    epilog="Plugins add commands: tapekit GROUP ... [STACK.toml] runs those of the stack file "
    "on the line, else of the file that TAPEKIT_STACK names, else of ./tapekit.toml. "
    "Clients need no stack file: tapekit PLUGIN ...",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _plugin_names() -> list[str]:
    from tapekit.kernel import installed

    return [plugin.name for plugin in installed()]


def _fault_ids() -> list[str]:
    from tapekit.cli.rows import catalogues
    from tapekit.kernel import installed

    found, _ = catalogues(installed())
    return [fault.id for catalogue in found.values() for fault in catalogue]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tapekit {version('tapekit')}")
        raise typer.Exit


_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_StackOption = Annotated[
    Path | None, typer.Option("--stack", help="Stack file that tells what is enabled.")
]
_StackArgument = Annotated[
    Path | None,
    typer.Argument(help="Stack file; default: TAPEKIT_STACK, else ./tapekit.toml."),
]


@app.callback()
def tapekit(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """An open NDMP v4 backup stack of plugins."""


@app.command()
def plugins(context: typer.Context, stack: _StackOption = None, json: _Json = False) -> None:
    """List the installed plugins."""
    from tapekit.cli.rows import plugin_rows
    from tapekit.kernel.stack_file import read_stack_file

    shell = shell_of(context)
    file = shell.stack(stack)
    enabled = None
    errors: list[TapekitError] = []
    if stack is not None or shell.named_stack() is not None or file.exists():
        contents, errors = read_stack_file(file, shell.plugin_names)
        enabled = contents.top.plugins
    rows = list(plugin_rows(shell.available, enabled))
    if json:
        shell.say_json(rows)
    else:
        columns = ("name", "enabled", "requires", "hooks", "origin")
        shell.say_table(columns, [_plugin_cells(row) for row in rows])
    if errors:
        raise StartErrors(errors)


def _plugin_cells(row: "PluginRow") -> tuple[str, ...]:
    enabled = "-" if row.enabled is None else "yes" if row.enabled else "no"
    hooks = f"cannot be used: {row.problem}" if row.problem else ", ".join(row.hooks)
    return row.name, enabled, ", ".join(row.requires) or "-", hooks or "-", row.origin


@app.command()
def settings(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(autocompletion=_plugin_names)],
    json: _Json = False,
) -> None:
    """Show what the table of a plugin may say."""
    from tapekit.kernel.setting_rows import setting_rows
    from tapekit.kernel.spelling import similar

    shell = shell_of(context)
    found = next((one for one in shell.available if one.name == plugin), None)
    if found is None:
        names = shell.plugin_names
        raise CORE.raised_as(
            WrongUse, "not-installed", plugin=plugin, similar=similar(plugin, names)
        )
    manifest = found.load().manifest
    rows = setting_rows(manifest.settings)
    if json:
        shell.say_json({"plugin": plugin, "requires": manifest.requires, "settings": rows})
        return
    shell.say(f"{plugin}: {manifest.summary}")
    shell.say(f"requires: {', '.join(manifest.requires) or 'nothing'}")
    if not rows:
        shell.say("settings: none")
        return
    shell.say(f"settings, in the table [{plugin}]:")
    shell.say_table(
        ("key", "type", "default", "meaning"),
        [(row.key, row.type, row.default or "must be given", row.help) for row in rows],
    )


@app.command()
def explain(
    context: typer.Context,
    id: Annotated[  # noqa: A002 - the word in the help
        str | None, typer.Argument(autocompletion=_fault_ids, help="All errors without one.")
    ] = None,
    json: _Json = False,
) -> None:
    """Tell the cause of an error and what to do about it."""
    from tapekit.cli.rows import catalogues
    from tapekit.kernel.spelling import similar

    shell = shell_of(context)
    found, errors = catalogues(shell.available)
    shell.complain(errors.values())
    faults = {fault.id: fault for catalogue in found.values() for fault in catalogue}
    if id is None:
        if json:
            shell.say_json(list(faults.values()))
        else:
            shell.say_table(("id", "message"), [(row.id, row.message) for row in faults.values()])
        return
    if id not in faults:
        raise CORE.raised_as(WrongUse, "unknown-error", id=id, similar=similar(id, faults))
    if json:
        shell.say_json(faults[id])
    else:
        _say_explanation(shell, faults[id])


def _say_explanation(shell: Shell, fault: Fault) -> None:
    shell.say(f"{fault.id}: {fault.message}")
    for name, text in (("Cause", fault.cause), ("Action", fault.action)):
        shell.say("")
        shell.say(f"{name}: {text}")


@app.command()
def hooks(context: typer.Context, json: _Json = False) -> None:
    """List the hooks that plugins may implement."""
    from tapekit.cli.rows import hook_rows, load_all

    shell = shell_of(context)
    loaded, errors = load_all(shell.available)
    shell.complain(errors.values())
    rows = list(hook_rows(loaded))
    if json:
        shell.say_json(rows)
    else:
        shell.say_table(
            ("hook", "subject", "implemented by", "what for"), [_hook_cells(row) for row in rows]
        )


def _hook_cells(row: "HookRow") -> tuple[str, ...]:
    return row.name, row.subject, ", ".join(row.implemented_by) or "-", row.summary


@app.command()
def check(context: typer.Context, stack: _StackArgument = None) -> None:
    """Tell everything that is wrong with a stack file."""
    from tapekit.kernel import assemble

    shell = shell_of(context)
    assemble(shell.stack(stack), shell.available, clock=shell.clock)
    shell.say("ok")


@app.command()
def serve(
    context: typer.Context,
    stack: _StackArgument = None,
    log_format: Annotated[LogFormat, typer.Option(help="How a log line looks.")] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel, typer.Option(help="The least important messages logged.")
    ] = LogLevel.INFO,
    trace: Annotated[
        Trace | None, typer.Option(help="Log each call of a hook with its result.")
    ] = None,
) -> None:
    """Run a stack until SIGTERM or SIGINT, then let running jobs end.

    Prints a line "listening on HOST:PORT" for each control listener once
    all are ready. A second signal cancels the jobs that still run.
    """
    from tapekit.cli.logs import start_logging
    from tapekit.cli.server import serve as serve_stack
    from tapekit.kernel import assemble

    shell = shell_of(context)
    start_logging(log_format, log_level, sys.stderr)
    kernel = assemble(
        shell.stack(stack), shell.available, clock=shell.clock, trace_hooks=trace is Trace.HOOKS
    )
    raise typer.Exit(serve_stack(shell, kernel))


@app.command()
def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder of the new site; made if need be.")],
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="TCP port of the control connections.")
    ] = 10000,
    host: Annotated[str, typer.Option(help="Address of the control connections.")] = "127.0.0.1",
) -> None:
    """Set up a new site: a stack file and all that it names."""
    from tapekit.cli.rows import load_all
    from tapekit.cli.site import set_up_site

    shell = shell_of(context)
    loaded, errors = load_all(shell.available)
    shell.complain(errors.values())
    site = set_up_site(directory, host, port, shell.available, loaded)
    shell.say("created:")
    for line in (*site.created, str(site.stack_file)):
        shell.say(f"  {line}")
    shell.say("next:")
    for line in (f"tapekit serve {site.stack_file}", *site.next_steps):
        shell.say(f"  {line}")
