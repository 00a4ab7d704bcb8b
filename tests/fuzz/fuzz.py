"""Fuzz one target with atheris: ``python tests/fuzz/fuzz.py TARGET [CORPUS] [OPTIONS]``.

Coverage tells atheris which inputs are new; it runs until it finds an error
or is stopped. What it finds is written to a file that the same command, given
that file, tries again. See README.md beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    try:
        import atheris
    except ImportError:
        raise SystemExit(
            "atheris is not installed: pip install atheris, or run the tests"
        ) from None
    with atheris.instrument_imports(include=["tapekit", "tapekit_dump", "tapekit_ndmp_v4"]):
        sys.path.insert(0, str(Path(__file__).parent))
        from fuzz_targets import SEEDS, TARGETS
    names = ", ".join(TARGETS)
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"{__doc__}\nTargets: {names}")
    name = sys.argv.pop(1)
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and not Path(sys.argv[1]).is_file():
        corpus = Path(sys.argv[1])
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[name]()):
            (corpus / f"seed-{number}").write_bytes(seed)
    target = TARGETS[name]

    def one(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
