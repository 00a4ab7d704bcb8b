"""NDMJOB's own conformance suites judge the server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from interop_peers import need, program

if TYPE_CHECKING:
    from running_stack import Stack

REPAIRS = Path(__file__).with_name("ndmjob_repairs.c")


def verdict(output: str, suite: str) -> tuple[str, int, int]:
    """The suite's last word, and how many tests failed and passed."""
    found = re.search(rf"FINAL {suite} (\w+) -- pass=(\d+) warn=0 fail=(\d+)", output)
    assert found is not None, output
    return found[1], int(found[3]), int(found[2])


@pytest.mark.parametrize(
    ("suite", "agent", "tests"),
    [("test-mover", "-T", 100), ("test-data", "-D", 24)],
    ids=["test-mover", "test-data"],
)
def test_suite_passes(stack: Stack, suite: str, agent: str, tests: int) -> None:
    need("ndmjob")
    tape = ("-f", "nrst0a") if agent == "-T" else ()
    done = stack.ndmjob("-v", "-o", suite, agent, stack.agent(), *tape)
    assert verdict(done.stdout, suite) == ("Passed", 0, tests)
    assert "LOCAL and TCP addressing tested." in done.stdout


def test_tape_suite_passes_once_its_own_defects_are_mended(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob", "cc")
    repairs = tmp_path / "ndmjob_repairs.so"
    subprocess.run(
        [program("cc"), "-shared", "-fPIC", "-O1", "-o", repairs, REPAIRS, "-ldl"], check=True
    )
    done = stack.ndmjob(
        *("-v", "-o", "test-tape", "-T", stack.agent(), "-f", "nrst0a"),
        environment={"LD_PRELOAD": str(repairs)},
    )
    assert verdict(done.stdout, "test-tape") == ("Passed", 0, 110)


def test_tape_suite_as_it_is_stops_before_it_asks_the_server(stack: Stack) -> None:
    """Shows that the defect is the suite's: see docs/interoperability.md."""
    need("ndmjob")
    done = stack.ndmjob("-v", "-o", "test-tape", "-T", stack.agent(), "-f", "nrst0a", check=False)
    assert "T-BW #6 -- Failed NDMP4_TAPE_OPEN/NDMP9_NO_ERR" in done.stdout
