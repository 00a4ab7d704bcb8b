"""What the protocol costs: messages, file history, and a backup with and without it.

Everything is measured in one run, in turns, and told as medians: how many
messages one core encodes and decodes, how many entries of file history leave
and arrive, how many requests a server answers one after another; and, as the
least of all rounds, what ``HIST=Y`` adds to a backup of many small files.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from bench import Bench, Case
from tapekit.hookspecs.data_engine import NodeEntry, NodeTable
from tapekit_ndmp_v4 import file_history, history_decoding, xdr
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.connection import NdmpConnection, Role
from tapekit_ndmp_v4.numbers import AuthType
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.making import make_small_files

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
MARK = "<!-- protocol measured -->"
BATCH = 1000
ROUNDS = 7
ENVIRONMENT = tuple(Pair(f"NAME{number}", "value" * 4) for number in range(25))
REQUESTS = (
    ("DATA_GET_STATE", m.DataGetStateRequest()),
    (
        "DATA_START_BACKUP, 25 variables",
        m.DataStartBackupRequest(butype_name="dump", env=ENVIRONMENT),
    ),
    ("TAPE_WRITE of 64 KiB", m.TapeWriteRequest(data_out=bytes(65536))),
)


def rate(work: Callable[[], int]) -> float:
    """How many things a second ``work`` does; it says how many it has done."""
    work()
    rates = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - started))
    return statistics.median(rates)


def exchanges(request: m.Message) -> int:
    """Requests out of a client, into a server, replies out and in again."""
    client = NdmpConnection(Role.CLIENT, clock=time.time)
    server = NdmpConnection(Role.SERVER, clock=time.time)
    for _ in range(BATCH):
        server.receive_data(client.send_request(request))
        event = server.next_event()
        assert event is not None
        reply = xdr.zero(event.exchange.reply)
        client.receive_data(server.send_reply(event, reply))
        assert client.next_event() is not None
    return BATCH


def directories() -> list[tuple[bytes, int, int]]:
    return [(b"a file with a name %05d" % number, 1000 + number, 2) for number in range(BATCH)]


def nodes() -> list[NodeEntry]:
    return [
        NodeEntry(1000 + number, 0o100644, 8000, 1, 2, 3, 0, 0, 1, number * 10240)
        for number in range(BATCH)
    ]


def history_rates() -> list[tuple[str, float]]:
    names, stats = directories(), NodeTable.of(nodes())
    paths = [
        (b"/a directory/" + name, node) for (name, _, _), node in zip(names, stats, strict=True)
    ]
    sent_names = file_history.encode_directories(names)
    sent_stats = file_history.encode_nodes(stats)
    sent_paths = file_history.encode_files(paths)

    def encode() -> int:
        file_history.encode_directories(names)
        file_history.encode_nodes(stats)
        return BATCH

    def decode() -> int:
        for body in sent_names:
            history_decoding.decode(m.FhAddDirPost, body)
        for body in sent_stats:
            history_decoding.decode(m.FhAddNodePost, body)
        return BATCH

    def encode_paths() -> int:
        file_history.encode_files(paths)
        return BATCH

    def decode_paths() -> int:
        for body in sent_paths:
            history_decoding.decode(m.FhAddFilePost, body)
        return BATCH

    return [
        ("file history sent, objects", rate(encode)),
        ("file history read, objects", rate(decode)),
        ("file history by paths sent, objects", rate(encode_paths)),
        ("file history by paths read, objects", rate(decode_paths)),
    ]


async def served_rate(bench: Bench) -> float:
    """Requests that a server answers one after another over loopback."""
    password = (bench.site / "ndmp-password").read_bytes().strip()
    async with NdmpClient.connect("127.0.0.1", bench.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", password)
        rates = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _ in range(BATCH):
                await client.call(m.DataGetStateRequest())
            rates.append(BATCH / (time.perf_counter() - started))
    return statistics.median(rates)


def history_cost(bench: Bench, files: int, rounds: int) -> list[str]:
    """A backup without file history and with it, in turns: the least seconds
    and CPU seconds of the server, and their ratios, as rows. What other work
    and fresh memory add to a round is a multiple of what is asked here.
    """
    case = Case("", lambda root: root, files)
    make_small_files(bench.volume / "data", files=files, directories=1000, seed=1)
    operations = [bench.tapekit_backup, bench.tapekit_history]
    for number in range(rounds + 1):
        for operation in operations if number % 2 else operations[::-1]:
            operation(case, number)
        if not number:
            case.seconds.clear()  # the first round warms the caches
            case.cpu_seconds.clear()
    rows = []
    for value, label in (("N", "tapekit backup"), ("Y", "tapekit, history backup")):
        cells = [
            f"{min(figures[label]):.2f} | {ratio(figures, label):.2f}"
            for figures in (case.seconds, case.cpu_seconds)
        ]
        rows.append(f"| `HIST={value}` | {' | '.join(cells)} |")
    return rows


def ratio(figures: dict[str, list[float]], label: str) -> float:
    """A label's least figure against that of backups without file history."""
    return min(figures[label]) / min(figures["tapekit backup"])


def table(options: argparse.Namespace) -> str:
    rows = [(name, rate(lambda request=request: exchanges(request))) for name, request in REQUESTS]
    rows += history_rates()
    scratch = Path(tempfile.mkdtemp(prefix="tapekit-bench-", dir=options.scratch))
    bench = Bench(scratch)
    try:
        bench.start()
        rows.append(("DATA_GET_STATE over loopback", trio.run(served_rate, bench)))
        costs = history_cost(bench, options.files, options.rounds)
    finally:
        bench.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    lines = [
        f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "",
        "| what | a second |",
        "|---|---:|",
        *(f"| {name} | {figure:,.0f} |" for name, figure in rows),
        "",
        (
            f"| backup of {options.files:,} small files, least of {options.rounds} "
            "| seconds | ratio | CPU seconds | ratio |"
        ),
        "|---|---:|---:|---:|---:|",
        *costs,
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="backups of each kind")
    parser.add_argument("--files", type=int, default=100_000, help="small files")
    parser.add_argument("--scratch", type=Path, help="folder on the file system to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    options = parser.parse_args()
    text = table(options)
    print(text)
    if options.write:
        head, _, rest = DOCUMENT.read_text().partition(MARK)
        _, _, tail = rest.partition(MARK)
        DOCUMENT.write_text(f"{head}{MARK}\n\n{text}\n\n{MARK}{tail}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
