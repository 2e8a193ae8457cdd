"""Run time of ten icon4py stencils against GT4Py's CPU backends, on meshes of 10^4 to 10^6 cells with 65 levels.

    python -O python/benches/run_time.py CORPUS [--cells 10000 100000 1000000] [--peers gtfn dace] [--rounds 9]

CORPUS is a folder with the recorded programs (`icon4py/NAME`). Every backend compiles the program as it was recorded and
gets the same fields, columns apart as in ICON. Calls alternate, and what counts is the median of the ratios of neighbouring
calls: above 1, Pelton is faster. One thread each (`--threads` for more). The outputs are compared: the last column says how
many of the peer's numbers have the same bits, and the program stops if one is further away than 1e-9.

The peers need CMake, a C++ compiler and minutes per program.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import time
import warnings

STENCILS = (
    "common__Cell2EdgeInterpolation",
    "common__Edge2CellVectorRBFInterpolation",
    "diffusion__ApplyNabla2AndNabla4ToVn",
    "diffusion__CalculateNabla4__none",
    "dycore__AddExtraDiffusionForNormalWindTendencyApproachingCfl",
    "dycore__ComputeAvgVnAndGraddivVnAndVt",
    "dycore__ComputeContravariantCorrectionOfW",
    "dycore__ComputeSolverCoefficientsMatrix",
    "dycore__ComputeTangentialWind",
    "dycore__MoMathDivrotRotVertexRiDsl",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peers", nargs="*", default=["gtfn", "dace"], choices=["gtfn", "dace"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=STENCILS, help="names of programs")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    warnings.simplefilter("ignore")
    peers = {name: _peer(name) for name in options.peers}
    print(f"{'program':60} {'cells':>8} {'Pelton ms':>10}" + "".join(f"{peer + ' ratio':>14}{'same bits':>11}" for peer in peers))
    for name in options.only:
        _compare(options.corpus / "icon4py" / name, peers, options)


def _peer(name: str):
    if name == "gtfn":
        import gt4py.next as gtx

        return gtx.gtfn_cpu
    from gt4py.next.program_processors.runners.dace import run_dace_cpu

    return run_dace_cpu


def _compare(folder: pathlib.Path, peers: dict, options: argparse.Namespace) -> None:
    import pelton.gt4py
    from recorded import enlarged, program

    tree = program(folder)
    backends = {"Pelton": pelton.gt4py.make_backend(threads=options.threads)} | peers
    compiled = {}
    for cells in options.cells:
        n = round((cells / 2) ** 0.5)
        # The arguments of each backend are its own: programs write in place.
        calls, fields = {}, {}
        for key, backend in backends.items():
            arguments, provider = enlarged(folder, n)
            if key not in compiled:
                compiled[key] = _compile(tree, backend, arguments, provider)
            fields[key] = arguments
            calls[key] = lambda run=compiled[key], args=tuple(arguments.values()), provider=provider: run(
                *args, offset_provider=provider
            )
            calls[key]()
        # Before anything is called again: programs that write in place go on from what they wrote.
        same = {peer: _same(fields["Pelton"], fields[peer], f"{folder.name} {peer}") for peer in peers}
        best = min(_seconds(calls["Pelton"]) for _ in range(options.rounds))
        row = f"{folder.name:60} {2 * n * n:8}{best * 1e3:11.3f}"
        for peer in peers:
            ratios = []
            for number in range(options.rounds):
                pair = ("Pelton", peer) if number % 2 else (peer, "Pelton")
                times = {key: _seconds(calls[key]) for key in pair}
                ratios.append(times[peer] / times["Pelton"])
            row += f"{statistics.median(ratios):14.2f}{same[peer]:11.4f}"
        print(row, flush=True)


def _same(ours: dict, theirs: dict, where: str) -> float:
    """The share of numbers with the same bits; stops where one is too far away."""
    import numpy as np

    same, count = 0, 0
    for name, field in ours.items():
        if hasattr(field, "ndarray"):
            a, b = field.ndarray, theirs[name].ndarray
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=f"{where} {name}")
            same += int(np.sum((a == b) | (a != a) & (b != b)))
            count += a.size
    return same / count


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _compile(tree, backend, arguments, provider):
    """The callable that a backend makes of a program."""
    from gt4py.next import common
    from gt4py.next.otf import arguments as otf_arguments

    try:
        from gt4py.next.otf.definitions import ConcreteProgramDef as Definition
    except ImportError:
        try:
            from gt4py.next.otf.stages import ConcreteProgramDef as Definition
        except ImportError:
            from gt4py.next.otf.definitions import CompilableProgramDef as Definition
    args = otf_arguments.CompileTimeArgs(
        args=tuple(param.type for param in tree.params),
        kwargs={},
        offset_provider=provider,
        column_axis=common.Dimension("K", kind=common.DimensionKind.VERTICAL),
        argument_descriptor_contexts={},
    )
    return backend.load_artifact(backend.executor(Definition(data=tree, args=args)))


if __name__ == "__main__":
    main()
