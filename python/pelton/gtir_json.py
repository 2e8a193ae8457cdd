"""GT4Py's GTIR as `gtir-json/1`, the form in which Pelton reads it.

The tree is exported as the frontend emits it: no pass runs over it, and only the types of parameters and
literals are written, because nothing may depend on more.

The export walks the tree iteratively, so deeply nested lets cannot exhaust Python's stack.
"""

from __future__ import annotations

import json
from typing import Any

from gt4py.next import common
from gt4py.next.iterator import ir as itir
from gt4py.next.type_system import type_specifications as ts

SCHEMA = "gtir-json/1"


def dumps(program: itir.Program) -> bytes:
    """The program as UTF-8 JSON text.

    Raises:
        TypeError: the tree holds a node that the schema does not know.
    """
    types = _TypeTable()
    body = {
        "id": str(program.id),
        "params": [_sym(param, types) for param in program.params],
        "fundefs": [
            {
                "id": str(fundef.id),
                "params": [_sym(param, types) for param in fundef.params],
                "expr": _expr(fundef.expr, types),
            }
            for fundef in program.function_definitions
        ],
        "declarations": [
            {
                "id": str(temporary.id),
                "domain": None if temporary.domain is None else _expr(temporary.domain, types),
                "t": None if temporary.dtype is None else types.index(temporary.dtype),
            }
            for temporary in program.declarations
        ],
        "body": [_stmt(stmt, types) for stmt in program.body],
    }
    document = {"schema": SCHEMA, "program": body, "types": types.rows}
    return _dump(document).encode()


def _dump(value: Any) -> str:
    """`json.dumps` for documents nested deeper than the C encoder's recursion limit allows."""
    try:
        return json.dumps(value, separators=(",", ":"))
    except RecursionError:
        pieces: list[str] = []
        stack: list[Any] = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, _Raw):
                pieces.append(item.text)
            elif isinstance(item, dict):
                stack.append(_Raw("}"))
                for n, (key, entry) in enumerate(reversed(item.items())):
                    stack.append(entry)
                    comma = "" if n == len(item) - 1 else ","
                    stack.append(_Raw(f"{comma}{json.dumps(key)}:"))
                stack.append(_Raw("{"))
            elif isinstance(item, list):
                stack.append(_Raw("]"))
                for n, entry in enumerate(reversed(item)):
                    stack.append(entry)
                    if n != len(item) - 1:
                        stack.append(_Raw(","))
                stack.append(_Raw("["))
            else:
                pieces.append(json.dumps(item))
        return "".join(pieces)


class _Raw:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _TypeTable:
    """The document's interned types."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._known: dict[str, int] = {}

    def index(self, spec: ts.TypeSpec) -> int:
        row = _type(spec)
        key = json.dumps(row)
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(row)
        return self._known[key]


def _type(spec: ts.TypeSpec) -> dict[str, Any]:
    match spec:
        case ts.ScalarType(kind=kind):
            return {"k": "scalar", "dtype": kind.name.lower()}
        case ts.FieldType(dims=dims, dtype=dtype):
            return {"k": "field", "dims": [dimension(d) for d in dims], "dtype": _type(dtype)}
        case ts.ListType(element_type=element, offset_type=offset):
            return {"k": "list", "elem": _type(element), "offset": None if offset is None else dimension(offset)}
        case ts.TupleType(types=members) | ts.NamedCollectionType(types=members):
            return {"k": "tuple", "types": [_type(member) for member in members]}
        case ts.DimensionType(dim=dim) | ts.IndexType(dim=dim):
            return {"k": "dim", "dim": dimension(dim)}
        case _:
            return {"k": "deferred"}


def dimension(dim: common.Dimension) -> dict[str, str]:
    """Name and kind of a dimension."""
    return {"name": dim.value, "kind": dim.kind.value}


def _sym(sym: itir.Sym, types: _TypeTable) -> dict[str, Any]:
    row: dict[str, Any] = {"id": str(sym.id)}
    if sym.type is not None:
        row["t"] = types.index(sym.type)
    return row


def _stmt(stmt: itir.Stmt, types: _TypeTable) -> dict[str, Any]:
    match stmt:
        case itir.SetAt(expr=expr, domain=domain, target=target):
            return {
                "k": "set_at",
                "expr": _expr(expr, types),
                "domain": _expr(domain, types),
                "target": _expr(target, types),
            }
        case itir.IfStmt(cond=cond, true_branch=then, false_branch=otherwise):
            return {
                "k": "if_stmt",
                "cond": _expr(cond, types),
                "then": [_stmt(s, types) for s in then],
                "else": [_stmt(s, types) for s in otherwise],
            }
        case _:
            raise TypeError(f"GTIR statement {type(stmt).__name__} has no form in {SCHEMA}")


def _expr(root: itir.Expr, types: _TypeTable) -> dict[str, Any]:
    result: dict[str, Any] = {}
    stack: list[tuple[itir.Expr, dict[str, Any]]] = [(root, result)]
    while stack:
        node, row = stack.pop()
        kind = type(node)
        if kind is itir.FunCall:
            row["k"] = "call"
            row["fun"] = function = {}
            row["args"] = arguments = [{} for _ in node.args]
            stack.append((node.fun, function))
            stack.extend(zip(node.args, arguments))
        elif kind is itir.SymRef:
            row["k"] = "ref"
            row["id"] = str(node.id)
        elif kind is itir.Lambda:
            row["k"] = "lambda"
            row["params"] = [_sym(param, types) for param in node.params]
            row["expr"] = body = {}
            stack.append((node.expr, body))
        elif kind is itir.Literal:
            row["k"] = "lit"
            row["v"] = node.value
            row["t"] = types.index(node.type)
        elif kind is itir.OffsetLiteral:
            row["k"] = "off"
            row["v"] = node.value if isinstance(node.value, str) else int(node.value)
        elif kind is itir.AxisLiteral:
            row["k"] = "axis"
            row["v"] = node.value
            row["kind"] = node.kind.value
        elif kind.__name__ == "CartesianOffset":
            row["k"] = "coff"
            row["from"] = [node.domain.value, node.domain.kind.value]
            row["to"] = [node.codomain.value, node.codomain.kind.value]
        elif kind is itir.InfinityLiteral:
            row["k"] = "inf"
            row["v"] = node.name
        elif kind.__name__ == "NoneLiteral":
            row["k"] = "none"
        else:
            raise TypeError(f"GTIR expression {kind.__name__} has no form in {SCHEMA}")
    return result
