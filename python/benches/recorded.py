"""Recorded programs for GT4Py's backends: the corpus' `gtir-json/1` as GT4Py's tree, its calls on larger meshes.

A call of the corpus stands on a periodic mesh of 3 by 3 vertices with 40 levels. :func:`enlarged` repeats its pattern on a
mesh of `n` by `n` vertices, 2 n² cells and 3 n² edges, with 65 levels: neighbours keep their distances along rows and
columns (in the order that the first point of each kind has them), fields repeat their values.
"""

from __future__ import annotations

import gzip
import json
import pathlib
from typing import Any

import gt4py.next as gtx
import numpy as np
from gt4py.next import common
from gt4py.next.iterator import ir as itir
from gt4py.next.type_system import type_specifications as ts

LEVELS = 65
_SMALL, _SMALL_LEVELS = 3, 40
_PER_VERTEX = {"Vertex": 1, "Edge": 3, "Cell": 2}


def dimension(row: dict[str, str]) -> gtx.Dimension:
    return gtx.Dimension(row["name"], kind=gtx.DimensionKind(row["kind"]))


def program(folder: pathlib.Path) -> itir.Program:
    """The program of a case."""
    document = json.loads(gzip.decompress((folder / "program.gtir.json.gz").read_bytes()))
    types = [_type(row) for row in document["types"]]
    body = document["program"]

    def symbol(row):
        return itir.Sym(id=row["id"], type=types[row["t"]] if "t" in row else None)

    def expression(row):
        match row["k"]:
            case "call":
                return itir.FunCall(fun=expression(row["fun"]), args=[expression(arg) for arg in row["args"]])
            case "ref":
                return itir.SymRef(id=row["id"])
            case "lambda":
                return itir.Lambda(params=[symbol(param) for param in row["params"]], expr=expression(row["expr"]))
            case "lit":
                return itir.Literal(value=row["v"], type=types[row["t"]])
            case "off":
                return itir.OffsetLiteral(value=row["v"])
            case "axis":
                return itir.AxisLiteral(value=row["v"], kind=gtx.DimensionKind(row["kind"]))
            case "coff":
                ends = [itir.AxisLiteral(value=name, kind=gtx.DimensionKind(kind)) for name, kind in (row["from"], row["to"])]
                return itir.CartesianOffset(domain=ends[0], codomain=ends[1])
            case "inf":
                return itir.InfinityLiteral(name=row["v"])
        raise ValueError(f"expression {row['k']}")

    def statement(row):
        if row["k"] == "if_stmt":
            return itir.IfStmt(
                cond=expression(row["cond"]),
                true_branch=[statement(child) for child in row["then"]],
                false_branch=[statement(child) for child in row["else"]],
            )
        return itir.SetAt(expr=expression(row["expr"]), domain=expression(row["domain"]), target=expression(row["target"]))

    return itir.Program(
        id=body["id"],
        function_definitions=[
            itir.FunctionDefinition(
                id=row["id"], params=[symbol(param) for param in row["params"]], expr=expression(row["expr"])
            )
            for row in body["fundefs"]
        ],
        params=[symbol(param) for param in body["params"]],
        declarations=[],
        body=[statement(row) for row in body["body"]],
    )


def _type(row: dict[str, Any]) -> ts.TypeSpec:
    match row["k"]:
        case "scalar":
            return ts.ScalarType(kind=ts.ScalarKind[row["dtype"].upper()])
        case "field":
            return ts.FieldType(dims=[dimension(dim) for dim in row["dims"]], dtype=_type(row["dtype"]))
        case "tuple":
            return ts.TupleType(types=[_type(member) for member in row["types"]])
    raise ValueError(f"type {row['k']}")


def enlarged(folder: pathlib.Path, n: int) -> tuple[dict[str, Any], dict[str, common.NeighborTable]]:
    """Arguments by name, and the offset provider."""
    case = json.loads((folder / "case.json").read_text())
    with np.load(folder / "inputs.npz") as file:
        inputs = dict(file)
    sizes = {name: per * _SMALL * _SMALL for name, per in _PER_VERTEX.items()}
    arguments: dict[str, Any] = {}
    for name in case["params"]:
        spec = case["args"][name]
        if spec["kind"] == "scalar":
            value = inputs[name].item()
            if name.startswith("horizontal") and value:
                (grown,) = {_PER_VERTEX[kind] * n * n for kind, size in sizes.items() if size == value}
                value = grown
            elif name == "vertical_end":
                value += LEVELS - _SMALL_LEVELS
            arguments[name] = np.dtype(spec["dtype"]).type(value)
        elif spec["kind"] == "field":
            arguments[name] = _enlarged_field(spec, inputs[name], n)
        else:
            raise ValueError(f"argument {name} is a {spec['kind']}")
    provider = {
        name: _enlarged_table(entry, inputs[entry["table"]], n) for name, entry in case["offset_provider"].items()
    }
    return arguments, provider


def _enlarged_field(spec: dict[str, Any], array: np.ndarray, n: int) -> common.Field:
    if any(spec["start"]):
        raise ValueError("only fields that start at 0")
    dims = [dimension(row) for row in spec["dims"]]
    for axis, dim in enumerate(dims):
        extent = array.shape[axis]
        if dim.kind is gtx.DimensionKind.VERTICAL:
            extent += LEVELS - _SMALL_LEVELS
        elif dim.value in _PER_VERTEX:
            extent = _PER_VERTEX[dim.value] * n * n
        array = array.take(np.arange(extent) % array.shape[axis], axis=axis)
    # Horizontal neighbours lie side by side, as in ICON.
    array = np.asfortranarray(array)
    return common._field(array, domain=common.domain({dim: (0, size) for dim, size in zip(dims, array.shape)}))


def _place(kind: str, index: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and which of its kind there: rows of cells hold all of one kind, then all of the other."""
    per = _PER_VERTEX[kind]
    row, rest = np.divmod(index, per * n)
    if kind == "Cell":
        which, column = np.divmod(rest, n)
    else:
        column, which = np.divmod(rest, per)
    return row, column, which


def _index(kind: str, row: np.ndarray, column: np.ndarray, which: np.ndarray, n: int) -> np.ndarray:
    per = _PER_VERTEX[kind]
    inner = which * n + column if kind == "Cell" else column * per + which
    return (row % n) * per * n + inner


def _enlarged_table(entry: dict[str, Any], table: np.ndarray, n: int) -> common.NeighborTable:
    source, target = entry["source"]["name"], entry["target"]["name"]
    _, _, which = _place(source, np.arange(len(table)), _SMALL)
    # The pattern of one point of each kind, as distances of -1, 0 or 1.
    first = [int(np.flatnonzero(which == kind)[0]) for kind in range(_PER_VERTEX[source])]
    row, column, _ = _place(source, np.asarray(first), _SMALL)
    to_row, to_column, to_which = _place(target, table[first], _SMALL)
    rows, columns = [
        (to - here[:, None] + 1) % _SMALL - 1 for to, here in ((to_row, row), (to_column, column))
    ]
    points = np.arange(_PER_VERTEX[source] * n * n)
    row, column, which = _place(source, points, n)
    large = _index(target, row[:, None] + rows[which], (column[:, None] + columns[which]) % n, to_which[which], n)
    large[table[first][which] < 0] = -1
    local = dimension(entry["local"])
    return gtx.as_connectivity(
        domain={dimension(entry["source"]): len(points), local: table.shape[1]},
        codomain=dimension(entry["target"]),
        data=large.astype(np.int32),
        skip_value=entry["skip_value"],
    )
