"""``tapekit serve`` in a process of its own: start, drain, errors, logs."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Install = Callable[..., None]
    Start = Callable[..., subprocess.Popen[str]]
    WriteStack = Callable[[str], Path]

WORKER = """
import contextlib
import msgspec
import trio
from tapekit.errors import Catalogue
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest

CATALOGUE = Catalogue.of("worker", "test_worker")

class Settings(msgspec.Struct, frozen=True):
    jobs: int = 0
    refuses: bool = False
    crashes: bool = False
    fails: bool = False

class Plugin:
    manifest = Manifest(name="worker", summary="Works", settings=Settings)

    def __init__(self, settings):
        self.settings = settings

    async def crash(self, kernel):
        await trio.sleep(0)
        if self.settings.crashes:
            raise ZeroDivisionError("in the worker")
        if self.settings.fails:
            raise CATALOGUE.error("worn", tool="hammer")

    @contextlib.asynccontextmanager
    async def work(self, kernel):
        if self.settings.refuses:
            raise CATALOGUE.error("worn", tool="saw")
        kernel.listening("127.0.0.1:1")
        kernel.listening("[::1]:1")
        async with trio.open_nursery() as nursery:
            if self.settings.crashes or self.settings.fails:
                kernel.start_task(lambda: self.crash(kernel), "crash")
            yield
            for _ in range(self.settings.jobs):
                await trio.sleep_forever()

    @hookimpl
    def tapekit_run(self, kernel):
        return self.work(kernel)
"""
ERRORS = '[worn]\nmessage = "the {tool} is worn"\ncause = "use"\naction = "Sharpen the {tool}."\n'
LISTENING = ["listening on 127.0.0.1:1\n", "listening on [::1]:1\n"]


@pytest.fixture
def serve(install: Install, start: Start, stack_file: WriteStack) -> Callable[..., Any]:
    """Starts a stack with one worker of these settings."""
    install("worker", WORKER, ERRORS)

    def begin(settings: str = "", *options: str) -> subprocess.Popen[str]:
        stack_file(f'plugins = ["worker"]\n{settings}')
        return start("serve", *options)

    return begin


def listening(process: subprocess.Popen[str]) -> list[str]:
    """The two lines that tell that the server is ready."""
    assert process.stdout is not None
    return [process.stdout.readline(), process.stdout.readline()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_stack(number: signal.Signals, serve: Any) -> None:
    process = serve()
    assert listening(process) == LISTENING
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "INFO tapekit.kernel: draining" in err
    assert "Traceback" not in err


def test_jobs_that_do_not_end_are_cancelled_by_a_second_signal(serve: Any) -> None:
    process = serve("[worker]\njobs = 1\n")
    listening(process)
    process.send_signal(signal.SIGTERM)
    while "draining" not in process.stderr.readline():
        pass
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "jobs that still ran were cancelled" in err


def test_jobs_that_do_not_end_are_cancelled_after_the_time_limit(serve: Any) -> None:
    process = serve("drain_timeout_s = 0.01\n[worker]\njobs = 1\n")
    listening(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_errors_in_the_stack_file_are_told_before_anything_runs(serve: Any) -> None:
    process = serve("[worker]\njobs = true\n")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "worker.jobs: true is not allowed here" in err


def test_an_error_at_the_start_is_told_without_traceback(serve: Any) -> None:
    process = serve("[worker]\nrefuses = true\n")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "error: the saw is worn\n  Sharpen the saw.\n  (tapekit explain worker.worn)\n" in err
    assert "Traceback" not in err


def test_an_error_that_ends_the_stack_later_has_another_status(serve: Any) -> None:
    process = serve("[worker]\nfails = true\n")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: the hammer is worn\n" in err
    assert "Traceback" not in err


def test_an_error_in_the_code_is_logged_with_its_traceback(serve: Any) -> None:
    process = serve("[worker]\ncrashes = true\n")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "CRITICAL tapekit.kernel: an error in the code ended the stack" in err
    assert "ZeroDivisionError: in the worker" in err


def test_the_log_may_be_json_lines(serve: Any) -> None:
    process = serve("", "--log-format", "json", "--log-level", "debug", "--trace", "hooks")
    listening(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    lines = [json.loads(line) for line in err.splitlines()]
    messages = [line["message"] for line in lines]
    assert 'plugin "worker" is ready' in messages
    assert any(message.startswith("worker.tapekit_run(kernel=") for message in messages)
    assert {"time", "level", "logger", "message"} == set(lines[0])


def test_the_log_can_be_silenced(serve: Any) -> None:
    process = serve("", "--log-level", "error")
    listening(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert err == ""


def test_an_unknown_trace_is_wrong_use(serve: Any) -> None:
    process = serve("", "--trace", "bytes")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "hooks" in err
