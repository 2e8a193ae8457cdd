#!/usr/bin/env python3
"""Lets DaCe load and validate files that Pelton saved.

    python scripts/dace-roundtrip.py LIST

LIST has one line per file: the original, a tab, the saved one. Originals that this DaCe does not load and
validate are left out of the count. `cargo test --test sdfg dace_loads_what_we_save` writes such a list and
runs this script when PELTON_DACE_PYTHON names a Python that has DaCe.
"""

import multiprocessing
import os
import sys
import warnings

import dace


def accepted(path):
    """None if DaCe loads and validates the file, else why not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dace.SDFG.from_file(path).validate()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


def check(pair):
    original, saved = pair
    before = accepted(original)
    return original, before, accepted(saved) if before is None else None


def main(path):
    with open(path) as lines:
        pairs = [tuple(line.rstrip("\n").split("\t")) for line in lines]
    # A loader that meets an error must raise it here, not put a placeholder in its place.
    dace.Config.set("testing", "deserialize_exception", value=True)
    with multiprocessing.Pool(os.cpu_count()) as pool:
        results = pool.map(check, pairs, chunksize=4)
    left_out = [(original, reason) for original, reason, _ in results if reason is not None]
    refused = [(original, reason) for original, _, reason in results if reason is not None]
    for original, reason in left_out:
        print(f"left out: {original}: {reason}")
    for original, reason in refused:
        print(f"REFUSED: {original}: {reason}")
    count = len(results) - len(left_out)
    print(f"DaCe {dace.__version__} accepts {count - len(refused)} of {count} saved files ({len(left_out)} left out)")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
