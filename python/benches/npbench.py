"""NPBench programs: run time and time to the first result, against DaCe's auto-optimized C++.

    python python/benches/npbench.py CORPUS [--scale 1 | --milliseconds 10 500] [--mode fast] [--threads 1] [--rounds 9]
                                            [--only gemm ...] [--builds DIR]

CORPUS is a folder with the recorded programs (`npbench/NAME`). Both sides get `program.sdfgz`; DaCe optimizes it with its
`auto_optimize` and builds it with the C++ compiler. Both run NPBench's preset S on the recorded values, repeated to fill the
larger arrays (a symmetric positive definite matrix stays one), and start each call from the same values. `--scale`
multiplies the sizes of preset S; `--milliseconds LO HI` finds for each program a factor with which a call of DaCe's takes
that long, or as near as memory allows; the column `scale` says which. Calls alternate; what
counts is the median of the ratios of neighbouring calls: above 1, Pelton is faster. `first` is the time from the file to
the first result, at the recorded tiny sizes; for DaCe that leaves out parsing the Python program. The column `error` is
the largest difference between the results, relative to the largest value.

Every program has a process of its own, so that one that hangs or dies is a line of the table. `--builds` keeps DaCe's
libraries, so that a second run (other sizes, other threads) need not build them again.

DaCe needs CMake and a C++ compiler. Without an OpenBLAS it multiplies matrices in loops with atomic additions, which is no
peer: the program stops then.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

# Arguments of one side, while sizes are looked for.
MOST_BYTES = 600 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the sizes of preset S")
    parser.add_argument("--milliseconds", type=float, nargs=2, metavar=("LO", "HI"), help="sizes that take DaCe so long")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", default="strict", choices=["strict", "fast"], help="Pelton's arithmetic")
    parser.add_argument("--only", nargs="+", help="names of programs")
    parser.add_argument("--builds", type=pathlib.Path, help="where DaCe's libraries are kept")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for a program, C++ included")
    parser.add_argument("--row", action="store_true", help="compare the program CORPUS itself, print its row as JSON")
    options = parser.parse_args()
    options.corpus = options.corpus.resolve()
    options.builds = (options.builds or pathlib.Path(tempfile.mkdtemp())).resolve()
    if options.row:
        print(json.dumps(_compare(options.corpus, options)))
        return
    print(f"{'program':12} {'scale':>6} {'Pelton ms':>10} {'ratio':>7} {'error':>8} {'first ms':>9} {'DaCe first s':>13} {'times':>7}")
    ratios, firsts = [], []
    for folder in sorted((options.corpus / "npbench").iterdir()):
        if options.only and folder.name not in options.only:
            continue
        row = _row(folder, options)
        if isinstance(row, str):
            print(f"{folder.name:12} failed: {row[:100]}", flush=True)
            continue
        ratios.append(row[1])
        firsts.append(row[4] / row[3] * 1e3)
        print(f"{folder.name:12} {row[5]:6.2f} {row[0]:10.3f} {row[1]:7.2f} {row[2]:8.0e} {row[3]:9.2f} {row[4]:13.2f} {firsts[-1]:7.0f}", flush=True)
    if ratios:
        print(f"geometric mean of the ratios {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}; "
              f"first result at least {min(firsts):.0f} times sooner")


def _row(folder: pathlib.Path, options: argparse.Namespace) -> list[float] | str:
    """The row of a program, from a process of its own; why there is none, else."""
    command = [sys.executable, __file__, str(folder), "--row", "--scale", str(options.scale), "--mode", options.mode,
               "--rounds", str(options.rounds), "--builds", str(options.builds)]
    if options.milliseconds:
        command += ["--milliseconds", *map(str, options.milliseconds)]
    # Libraries read these when they are loaded, so they have to be there before the process is.
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PELTON_NUM_THREADS")}
    try:
        done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return f"no result after {options.timeout:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def _compare(folder: pathlib.Path, options: argparse.Namespace) -> tuple[float, float, float, float, float, float]:
    warnings.simplefilter("ignore")
    import dace
    import numpy as np
    import pelton
    from dace.libraries.blas.environments import OpenBLAS
    from dace.transformation.auto.auto_optimize import auto_optimize

    if not OpenBLAS.is_installed():
        raise SystemExit("DaCe finds no OpenBLAS")
    dace.Config.set("compiler", "cpu", "args", value="-std=c++14 -fPIC -Wall -Wextra -O3 -march=native -ffast-math")
    dace.Config.set("progress", value=False)
    case = json.loads((folder / "case.json").read_text())
    with np.load(folder / "inputs.npz") as stored:
        recorded = {name: stored[name] for name in stored.files}

    build = options.builds / folder.name
    build.mkdir(parents=True, exist_ok=True)
    os.chdir(build)
    built = build / "first.json"
    dace.Config.set("compiler", "use_cache", value=built.exists())
    began = time.perf_counter()
    graph = dace.SDFG.from_file(str(folder / "program.sdfgz"))
    if not built.exists():
        graph = auto_optimize(graph, dace.DeviceType.CPU)
        graph.save("optimized.sdfgz", compress=True)
    else:
        graph = dace.SDFG.from_file("optimized.sdfgz")
    compiled = graph.compile()
    small = _arguments(graph, recorded, _sizes(case, recorded, None))
    _dace_call(compiled, small)()
    their_first = time.perf_counter() - began
    compiled.finalize()  # Its persistent memory has the small sizes.
    if built.exists():
        their_first = json.loads(built.read_text())
    built.write_text(json.dumps(their_first))
    our_first = math.inf
    for _ in range(3):
        small = _arguments(graph, recorded, _sizes(case, recorded, None))
        began = time.perf_counter()
        program = pelton.Program(str(folder / "program.sdfgz"), engine="native", mode=options.mode)
        program(**small)
        our_first = min(our_first, (time.perf_counter() - began) * 1e3)

    scale = options.scale
    if options.milliseconds:
        scale = _scale(graph, compiled, case, recorded, options.milliseconds)
    start = _arguments(graph, recorded, _sizes(case, recorded, scale))
    ours, theirs = ({name: _copy(value) for name, value in start.items()} for _ in range(2))
    calls = {"ours": lambda: program(**ours), "theirs": _dace_call(compiled, theirs)}
    arguments = {"ours": ours, "theirs": theirs}
    times = {"ours": [], "theirs": []}
    for number in range(options.rounds + 1):
        for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            for name, value in start.items():
                if isinstance(value, np.ndarray):
                    arguments[side][name][...] = value
            began = time.perf_counter()
            calls[side]()
            times[side].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(times["ours"][1:], times["theirs"][1:], strict=True)]
    return min(times["ours"]) * 1e3, statistics.median(ratios), _error(ours, theirs), our_first, their_first, scale


def _scale(graph, compiled, case: dict, recorded: dict, wanted: tuple[float, float]) -> float:
    """A factor on the sizes of preset S with which a call of DaCe's takes about as long as wanted."""
    import numpy as np

    low, high = (milliseconds / 1e3 for milliseconds in wanted)
    target, scale, best, limit = math.sqrt(low * high), 1.0, (math.inf, 1.0), math.inf
    for _ in range(12):
        arguments = _arguments(graph, recorded, _sizes(case, recorded, scale))
        room = sum(value.nbytes for value in arguments.values() if isinstance(value, np.ndarray))
        if room > MOST_BYTES:
            limit = scale = 0.7 * scale
            continue
        call, times = _dace_call(compiled, arguments), []
        for _ in range(3):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
            if times[-1] > 2 * high:
                break
        compiled.finalize()
        took = min(times)
        distance = max(low / took, took / high)
        best = min(best, (distance, scale))
        # Somewhere between linear and cubic in the sizes.
        following = min(limit, scale * min(4.0, max(0.25, (target / took) ** 0.4)))
        if distance <= 1.0 or following == scale:
            break
        scale = following
    return best[1]


def _sizes(case: dict, recorded: dict, scale: float | None) -> dict:
    """Symbols and scalars of a call: as recorded, or preset S."""
    import numpy as np

    sizes = dict(case.get("symbol_values") or {})
    sizes |= {name: value.item() for name, value in recorded.items() if np.ndim(value) == 0}
    if scale is not None:
        for name, value in case["presets"]["S"].items():
            if name in sizes or name in case["arguments"]:
                whole = isinstance(value, int) and name in (case.get("symbol_values") or {})
                sizes[name] = max(2, round(value * scale)) if whole else value
    return sizes


def _arguments(graph, recorded: dict, sizes: dict) -> dict:
    import dace
    import numpy as np

    arguments = {}
    for name, container in graph.arglist().items():
        if isinstance(container, dace.data.Array):
            shape = tuple(int(dace.symbolic.evaluate(extent, sizes)) for extent in container.shape)
            dtype = container.dtype.as_numpy_dtype()
            values = recorded.get(name)
            arguments[name] = np.zeros(shape, dtype) if values is None else _enlarged(values, shape).astype(dtype)
        else:
            arguments[name] = sizes[name]
    return arguments


def _enlarged(values, shape: tuple[int, ...]):
    """Values repeated to fill a shape; a symmetric positive definite matrix stays one, for those that factorize it."""
    import numpy as np

    square = len(shape) == 2 and shape[0] == shape[1] > len(values)
    if square and np.ndim(values) == 2 and np.issubdtype(values.dtype, np.floating) and np.array_equal(values, values.T):
        try:
            np.linalg.cholesky(values)
        except np.linalg.LinAlgError:
            pass
        else:
            count = -(-shape[0] // len(values))
            blocks = np.full((count, count), 0.5) + 0.5 * np.eye(count)
            return np.kron(blocks, values)[: shape[0], : shape[1]]
    return np.resize(values, shape)


def _dace_call(compiled, arguments: dict):
    """A call without the checks that DaCe's own call makes, and its memory for these sizes."""
    # Returned arrays are arguments like any other here.
    names = {name for name in arguments if name.startswith("__return")}
    try:
        compiled._return_arrays = tuple(arguments[name] for name in sorted(names))
        call, init = compiled.construct_arguments(**arguments)
        compiled.initialize(**arguments)
        return lambda: compiled.fast_call(call, init)
    except (AttributeError, TypeError):
        plain = {name: value for name, value in arguments.items() if name not in names}
        return lambda: compiled(**plain)


def _copy(value):
    return value.copy() if hasattr(value, "copy") else value


def _error(ours: dict, theirs: dict) -> float:
    import numpy as np

    worst = 0.0
    for name, value in ours.items():
        if isinstance(value, np.ndarray) and value.size:
            with np.errstate(all="ignore"):
                scale = np.nanmax(np.abs(value)) or 1.0
                difference = np.nanmax(np.abs(value.astype(np.complex128) - theirs[name].astype(np.complex128)))
            worst = max(worst, float(difference / scale))
    return worst


if __name__ == "__main__":
    main()
