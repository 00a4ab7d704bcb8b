"""Some thousands of damaged inputs for every fuzz target, the same at every run."""

from __future__ import annotations

import random

import pytest

from fuzz_targets import SEEDS, TARGETS
from mutations import cases

COUNTS = {"records": 20_000, "bodies": 5_000, "server": 30_000, "client": 5_000, "dump": 1_000}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_raises_what_is_not_declared(name: str) -> None:
    target = TARGETS[name]
    chance = random.Random(f"tapekit {name}")
    number = 0
    for number, data in enumerate(cases(SEEDS[name](), COUNTS[name], chance), 1):
        try:
            target(data)
        except BaseException as error:
            error.add_note(f"input {number} of {name}: {data[:2000].hex()}")
            raise
    assert number > COUNTS[name]


def test_targets_have_seeds_and_counts() -> None:
    assert set(TARGETS) == set(SEEDS) == set(COUNTS)


def test_the_seeds_of_dump_streams_are_good_ones() -> None:
    """A target that refuses everything would find nothing."""
    from fuzz_targets import dump_site, with_checksums

    site = dump_site()
    (stream,) = SEEDS["dump"]()
    assert with_checksums(stream) == stream
    site.recover(stream)
    restored = (site.volume / "x" / "file 2").read_bytes()
    site.clear()
    assert restored == (site.volume / "source" / "file 2").read_bytes()
