"""What a call from Python costs before and after the program's own work.

Programs with 5, 15 and 30 fields of one element are called through GT4Py (`whole`) and through the backend's callable
alone (`backend`), for Pelton and, with ``--peers``, for gtfn (which needs CMake, a C++ compiler and minutes).

    python -O python/benches/call.py [--peers]

Times are nanoseconds of this thread's processor per call, the least of 15 rounds of 2000 calls.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import tempfile
import time
import warnings

import gt4py.next as gtx
import numpy as np

import pelton.gt4py

COUNTS = (5, 15, 30)
ROUNDS, CALLS = 15, 2000


def make_program(count: int, backend):
    """`out = f0 + f1 + ...` over fields of two dimensions, as a module of its own: GT4Py reads sources."""
    inputs = [f"f{number}" for number in range(count - 1)]
    params = ", ".join(f"{name}: F" for name in inputs)
    text = f"""
import gt4py.next as gtx
I = gtx.Dimension("I")
K = gtx.Dimension("K", kind=gtx.DimensionKind.VERTICAL)
F = gtx.Field[[I, K], gtx.float64]

@gtx.field_operator
def total({params}) -> F:
    return {" + ".join(inputs)}

@gtx.program
def program({params}, out: F):
    total({", ".join(inputs)}, out=out)
"""
    path = pathlib.Path(tempfile.mkdtemp()) / f"fields_{count}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fields = [gtx.as_field([module.I, module.K], np.full((1, 1), float(number))) for number in range(count)]
    return module.program.with_backend(backend), fields


def nanoseconds(call) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(CALLS):
            call()
        best = min(best, time.thread_time_ns() - start)
    return best / CALLS


def measure(count: int, backend) -> tuple[float, float]:
    program, fields = make_program(count, backend)
    start = time.perf_counter()
    program(*fields, offset_provider={})
    first = time.perf_counter() - start
    assert fields[-1].asnumpy()[0, 0] == sum(range(count - 1))
    compiled, *_ = program._compiled_programs.compiled_programs.values()
    provider = {}
    alone = nanoseconds(lambda: compiled(*fields, offset_provider=provider))
    whole = nanoseconds(lambda: program(*fields, offset_provider=provider))
    print(f"{backend.name:12} {count:3} fields: backend {alone:9.0f} ns   whole {whole:9.0f} ns   first call {first:.3f} s")
    return alone, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="also gtfn_cpu")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for count in COUNTS:
        ours, _ = measure(count, pelton.gt4py.cpu)
        if arguments.peers:
            theirs, _ = measure(count, gtx.gtfn_cpu)
            print(f"             gtfn / Pelton: {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
