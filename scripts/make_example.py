#!/usr/bin/env python3
"""Writes examples/hdiff: a weather stencil as a case folder.

Horizontal diffusion with a flux limiter, as limited-area weather models apply it to their fields: fourth
order, and a flux is dropped where it would run up the gradient. The program comes from DaCe's Python
frontend, the expected result from NumPy.

Needs `pip install dace==2.0.0b1 numpy`; run it from the root of the repository.
"""

import gzip
import json
from pathlib import Path

import dace
import numpy as np

I, J, K = (dace.symbol(name, dtype=dace.int64) for name in "IJK")


def diffuse(field, coefficient, diffused):
    laplacian = 4.0 * field[1:-1, 1:-1, :] - (
        field[2:, 1:-1, :] + field[:-2, 1:-1, :] + field[1:-1, 2:, :] + field[1:-1, :-2, :]
    )
    flux_x = laplacian[1:, 1:-1, :] - laplacian[:-1, 1:-1, :]
    flux_x[:] = np.where(flux_x * (field[2:-1, 2:-2, :] - field[1:-2, 2:-2, :]) > 0.0, 0.0, flux_x)
    flux_y = laplacian[1:-1, 1:, :] - laplacian[1:-1, :-1, :]
    flux_y[:] = np.where(flux_y * (field[2:-2, 2:-1, :] - field[2:-2, 1:-2, :]) > 0.0, 0.0, flux_y)
    diffused[:] = field[2:-2, 2:-2, :] - coefficient * (
        flux_x[1:, :, :] - flux_x[:-1, :, :] + flux_y[:, 1:, :] - flux_y[:, :-1, :]
    )


diffuse.__annotations__ = {
    "field": dace.float64[I + 4, J + 4, K],
    "coefficient": dace.float64[I, J, K],
    "diffused": dace.float64[I, J, K],
}


def without_traces(element):
    """The element without what only tells where and when it was made."""
    if isinstance(element, dict):
        dropped = {"debuginfo", "source_files", "guid", "build_folder", "hash"}
        return {key: without_traces(value) for key, value in element.items() if key not in dropped}
    if isinstance(element, list):
        return [without_traces(value) for value in element]
    return element


def initial_field(i, j, k):
    """A front with a low behind it, and the noise on the scale of the grid that diffusion is there to remove."""
    x, y, z = np.meshgrid(np.arange(i), np.arange(j), np.arange(k), indexing="ij")
    front = 8.0 * np.tanh((y - 0.55 * j - 5.0 * np.sin(2 * np.pi * x / i)) / 4.0)
    low = -10.0 * np.exp(-((x - 0.4 * i) ** 2 + (y - 0.45 * j) ** 2) / 60.0)
    noise = 2.0 * (-1.0) ** (x + y) * (((x * 7 + y * 13 + z * 5) % 11) > 5)
    # Rounded, so that the file is small.
    return np.round((280.0 - 0.5 * z + front + low + noise) * 256) / 256


def main():
    folder = Path(__file__).parent.parent / "examples" / "hdiff"
    folder.mkdir(parents=True, exist_ok=True)
    sdfg = dace.program(diffuse).to_sdfg(simplify=True)
    sdfg.validate()
    text = json.dumps(without_traces(sdfg.to_json()), separators=(",", ":"))
    (folder / "program.sdfgz").write_bytes(gzip.compress(text.encode(), mtime=0))

    i, j, k = 48, 48, 8
    field = initial_field(i + 4, j + 4, k)
    coefficient = np.full((i, j, k), 0.03125)
    diffused = np.zeros((i, j, k))
    inputs = {"field": field, "coefficient": coefficient, "diffused": diffused}
    np.savez_compressed(folder / "inputs.npz", **inputs, I=np.int64(i), J=np.int64(j), K=np.int64(k))
    expected = diffused.copy()
    diffuse(field, coefficient, expected)
    np.savez_compressed(folder / "expected.npz", diffused=expected)
    description = {
        "suite": "examples",
        "name": "hdiff",
        "kind": "sdfg",
        "origin": "scripts/make_example.py",
        "arguments": ["coefficient", "diffused", "field", "I", "J", "K"],
        "positional": ["field", "coefficient", "diffused"],
        "returns": [],
        "free_symbols": ["I", "J", "K"],
        "symbol_values": {"I": i, "J": j, "K": k},
        "compare": {"rtol": 1e-12, "atol": 1e-12},
    }
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")


if __name__ == "__main__":
    main()
