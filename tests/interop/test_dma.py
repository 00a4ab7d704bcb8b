"""Debian's restore reads what the data management application leaves on a cartridge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from interop_peers import need, program
from running_stack import run_checked
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack

APPLICATION: Final = """
plugins = ["ndmp_v4", "dma"]

[dma.servers.filer]
host = "127.0.0.1"
port = {port}
user = "ndmp"
password_file = "password"

[dma.media_sets.weekly]
server = "filer"
barcodes = ["VT0001"]
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")
def test_every_second_tape_file_behind_the_label_is_a_dump(stack: Stack, tmp_path: Path) -> None:
    need("restore")
    make_tree(stack.volume, files=40, seed=5, wide=20, deep=3, far=1 << 20)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(stack.password)
    file = tmp_path / "application.toml"
    file.write_text(APPLICATION.format(port=stack.port))
    for _ in range(2):
        stack.tapekit("backup", "run", "/vs1/vol1", "--stack", str(file))
    label = stack.export("VT0001", 0, tmp_path / "label").read_text()
    assert label.startswith("TAPEKIT MEDIA LABEL 1\nbarcode: VT0001\nmedia-set: weekly\n")
    image = stack.export("VT0001", 3, tmp_path / "image")
    target = tmp_path / "target"
    target.mkdir()
    run_checked([program("restore"), "-r", "-T", tmp_path, "-f", image], cwd=target)
    (target / "restoresymtable").unlink()
    different = [str(each) for each in compare_trees(stack.volume, target) if each.path != "."]
    assert different == []
