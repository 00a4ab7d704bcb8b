"""NDMJOB and Wireshark take file history with whole paths."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from captures import DOUBTFUL, NDMP_PORT, capturing, dissection_of, own_address, packets_in
from interop_peers import need
from ndmjob_index import files_in
from running_stack import served
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack


def back_up_by_paths(stack: Stack, index: Path) -> None:
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-I", str(index)),
        *("-E", "FILESYSTEM=/vs1/vol1", "-E", "HIST=f"),
    )


@pytest.mark.requirement("R113")
@pytest.mark.requirement("R131")
def test_ndmjob_gets_an_index_of_paths_and_restores_by_it(stack: Stack, tmp_path: Path) -> None:
    need("ndmjob")
    make_tree(stack.volume, files=20, seed=3, wide=20, deep=5, far=1 << 20)
    odd = b"odd\xff %\n"
    (stack.volume / os.fsdecode(odd)).write_bytes(b"odd" * 5000)
    (stack.volume / "below").mkdir()
    os.link(stack.volume / os.fsdecode(odd), stack.volume / "below" / "link")
    index = tmp_path / "index"
    back_up_by_paths(stack, index)
    files = files_in(index)
    root = os.fsencode(stack.volume)
    present = {
        (place + b"/" + name).removeprefix(root + b"/")
        for place, *lists in os.walk(root)
        for names in lists
        for name in names
    }
    assert files.keys() == {b"/", *(b"/" + path for path in present)}
    assert files[b"/" + odd] == files[b"/below/link"]
    assert {b"f-", b"s15000"} < files[b"/below/link"]
    done = stack.ndmjob(
        *("-v", "-x", "-B", "dump", "-D", stack.agent(), "-T", stack.agent(), "-f", "nrst0a"),
        *("-J", str(index), "-E", "DIRECT=y", "-C", "/vs1/vol1/back", "/below/link"),
    )
    assert "Operation ended OKAY" in done.stdout, done.stdout
    assert "Restored 1 files and 0 directories directly" in done.stdout, done.stdout
    assert (stack.volume / "back/below/link").read_bytes() == b"odd" * 5000


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
def test_wireshark_reads_files_by_their_paths(tmp_path: Path) -> None:
    need("ndmjob", "tshark")
    host = own_address(9)
    with served(tmp_path / "stack", host, NDMP_PORT) as stack:
        make_tree(stack.volume, files=30, seed=2, wide=50, deep=5, far=1 << 20)
        file = tmp_path / "capture.pcapng"
        with capturing(stack, file):
            back_up_by_paths(stack, tmp_path / "index")
    dissection = dissection_of(file)
    assert "FH_ADD_FILE" in dissection
    assert "FH_ADD_NODE" not in dissection
    assert "FH_ADD_DIR" not in dissection
    assert packets_in(file, DOUBTFUL) == []
