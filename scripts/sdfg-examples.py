#!/usr/bin/env python3
"""Writes the small SDFG files that the reader's tests use.

    python scripts/sdfg-examples.py tests/data/sdfg

Run it once per DaCe version; the version becomes part of each file's name. Every program is tiny and exists
for the part of the format it shows.
"""

import json
import pathlib
import sys

import dace
import numpy as np

N = dace.symbol("N", dtype=dace.int64)
M = dace.symbol("M")


def saxpy():
    """A map with a typed symbol, a tasklet, omitted int32 types."""
    sdfg = dace.SDFG("saxpy")
    sdfg.add_array("x", [N], dace.float32)
    sdfg.add_array("y", [N, M], dace.int32)
    sdfg.add_scalar("a", dace.float32)
    state = sdfg.add_state("compute")
    state.add_mapped_tasklet(
        "scale",
        {"i": "0:N", "j": "0:M:2"},
        {"xi": dace.Memlet("x[i]"), "factor": dace.Memlet("a[0]")},
        "yi = factor * xi",
        {"yi": dace.Memlet("y[i, M - 1 - j]")},
        external_edges=True,
    )
    return sdfg


def machine():
    """A flat state machine: guard, conditional edges, assignments, a start that is not first."""
    sdfg = dace.SDFG("machine")
    sdfg.add_array("a", [20], dace.float64)
    body = sdfg.add_state("body")
    start = sdfg.add_state("start", True)
    end = sdfg.add_state("end")
    guard = sdfg.add_state("guard")
    sdfg.add_edge(start, guard, dace.InterstateEdge(assignments={"i": "0"}))
    sdfg.add_edge(guard, body, dace.InterstateEdge(condition="i < 20 and a[i] >= 0.0"))
    sdfg.add_edge(guard, end, dace.InterstateEdge(condition="not (i < 20 and a[i] >= 0.0)"))
    sdfg.add_edge(body, guard, dace.InterstateEdge(assignments={"i": "i + 1"}))
    tasklet = body.add_tasklet("decrement", {"v"}, {"w"}, "w = v - 1.0")
    body.add_edge(body.add_read("a"), None, tasklet, "v", dace.Memlet("a[i]"))
    body.add_edge(tasklet, "w", body.add_write("a"), None, dace.Memlet("a[i]", dynamic=True))
    return sdfg


def accumulate():
    """Conflict resolution, a reduction node, constants of several kinds, a copy with both subsets."""
    sdfg = dace.SDFG("accumulate")
    sdfg.add_array("a", [8, 8], dace.float64)
    sdfg.add_array("total", [1], dace.float64)
    sdfg.add_array("rows", [8], dace.float64)
    sdfg.add_transient("corner", [4, 4], dace.float64, storage=dace.StorageType.Register)
    sdfg.add_constant("weights", np.array([[1.0, np.inf], [-np.inf, np.nan]]))
    sdfg.add_constant("flags", np.array([True, False]))
    sdfg.add_constant("offset", 3, dace.data.Scalar(dace.int64))
    state = sdfg.add_state("sum")
    read = state.add_read("a")
    state.add_mapped_tasklet(
        "add",
        {"i": "0:8", "j": "0:8"},
        {"v": dace.Memlet("a[i, j]")},
        "s = v",
        {"s": dace.Memlet("total[0]", wcr="lambda old, new: old + new")},
        external_edges=True,
        input_nodes={"a": read},
    )
    reduce = state.add_reduce("lambda p, q: max(p, q)", [1], -1e30)
    state.add_edge(read, None, reduce, None, dace.Memlet("a[0:8, 0:8]"))
    state.add_edge(reduce, None, state.add_write("rows"), None, dace.Memlet("rows[0:8]"))
    state.add_edge(read, None, state.add_access("corner"), None, dace.Memlet("a[4:8, 0:4] -> [0:4, 0:4]"))
    return sdfg


def nested():
    """A nested graph with a symbol mapping; its connectors are whole containers, before 2.0.0b1 windows."""
    window = dace.__version__.startswith(("1.", "2.0.0a"))
    element = "v[j]" if window else "v[r, j]"
    outer = "a[i, 0:M]" if window else "a[0:N, 0:M]"
    inner = dace.SDFG("row")
    inner.add_array("v", [M] if window else [N, M], dace.float64)
    inner.add_symbol("r", dace.int64)
    state = inner.add_state("double")
    state.add_mapped_tasklet(
        "twice",
        {"j": "0:M"},
        {"e": dace.Memlet(element)},
        "f = 2 * e",
        {"f": dace.Memlet(element)},
        external_edges=True,
    )
    sdfg = dace.SDFG("nested")
    sdfg.add_array("a", [N, M], dace.float64)
    state = sdfg.add_state("rows")
    entry, exit_ = state.add_map("each", {"i": "0:N"})
    node = state.add_nested_sdfg(inner, **inputs({"v"}, {"v"}), symbol_mapping={"r": "i", "M": "M"} | ({} if window else {"N": "N"}))
    state.add_memlet_path(state.add_read("a"), entry, node, dst_conn="v", memlet=dace.Memlet(outer))
    state.add_memlet_path(node, exit_, state.add_write("a"), src_conn="v", memlet=dace.Memlet(outer))
    return sdfg


def inputs(ins, outs):
    """Arguments of `add_nested_sdfg` that both versions take."""
    return {"inputs": ins, "outputs": outs} | ({"parent": None} if dace.__version__.startswith("1.") else {})


def queue():
    """A stream filled by a map and emptied by a consume scope."""
    sdfg = dace.SDFG("queue")
    sdfg.add_array("a", [16], dace.int32)
    sdfg.add_array("b", [16], dace.int32)
    sdfg.add_stream("s", dace.int32, transient=True, buffer_size=16)
    state = sdfg.add_state("work")
    state.add_mapped_tasklet(
        "fill",
        {"i": "0:16"},
        {"v": dace.Memlet("a[i]")},
        "o = v",
        {"o": dace.Memlet("s[0]")},
        external_edges=True,
    )
    stream = next(node for node in state.data_nodes() if node.data == "s")
    entry, exit_ = state.add_consume("drain", ("p", "4"), "i >= 16")
    tasklet = state.add_tasklet("store", {"e"}, {"o"}, "if e < 16: o[e] = e")
    state.add_edge(stream, None, entry, "IN_stream", dace.Memlet("s[0]"))
    state.add_edge(entry, "OUT_stream", tasklet, "e", dace.Memlet("s[0]"))
    entry.add_in_connector("IN_stream")
    entry.add_out_connector("OUT_stream")
    state.add_memlet_path(tasklet, exit_, state.add_write("b"), src_conn="o", memlet=dace.Memlet("b[0:16]", dynamic=True))
    return sdfg


def records():
    """Structures, records, vectors, pointers, views, and code in C++."""
    sdfg = dace.SDFG("records")
    pair = dace.struct("pair", value=dace.float64, index=dace.int32)
    matrix = dace.data.Structure(
        {"values": dace.data.Array(dace.float64, [N]), "rows": dace.data.Array(dace.int32, [M + 1])}, name="Matrix"
    )
    sdfg.add_datadesc("m", matrix)
    sdfg.add_array("best", [1], pair)
    sdfg.add_array("lanes", [4], dace.vector(dace.float32, 8))
    sdfg.add_array("a", [6, 4], dace.float64, strides=[1, 6], total_size=30)
    sdfg.add_view("v", [4, 6], dace.float64)
    state = sdfg.add_state("look")
    view = state.add_access("v")
    state.add_edge(state.add_read("a"), None, view, "views", dace.Memlet("a[0:6, 0:4]"))
    view.add_in_connector("views")
    tasklet = state.add_tasklet(
        "first", {"p": dace.pointer(dace.float64), "r": dace.int32}, {"o"}, "o.value = p[0] + r; o.index = 0;",
        language=dace.Language.CPP,
    )
    state.add_edge(view, None, tasklet, "p", dace.Memlet("v[0:4, 0:6]"))
    state.add_edge(state.add_read("m.rows"), None, tasklet, "r", dace.Memlet("m.rows[0]"))
    state.add_edge(tasklet, "o", state.add_write("best"), None, dace.Memlet("best[0]"))
    sdfg.append_global_code("// global\n")
    return sdfg


def regions():
    """Explicit control flow: a loop with break, an inverted loop, a conditional with an else branch."""
    from dace.sdfg.state import BreakBlock, ConditionalBlock, ControlFlowRegion, LoopRegion

    def step(region, name):
        state = region.add_state(name)
        tasklet = state.add_tasklet("next", {"v"}, {"w"}, "w = v + 1")
        state.add_edge(state.add_read("c"), None, tasklet, "v", dace.Memlet("c[0]"))
        state.add_edge(tasklet, "w", state.add_write("c"), None, dace.Memlet("c[0]"))
        return state

    sdfg = dace.SDFG("regions")
    sdfg.using_explicit_control_flow = True
    sdfg.add_array("c", [1], dace.int64)
    loop = LoopRegion("count", "i < N", "i", "i = 0", "i = i + 1")
    sdfg.add_node(loop, is_start_block=True)
    choice = ConditionalBlock("choice")
    loop.add_node(choice, is_start_block=True)
    low = ControlFlowRegion("low")
    choice.add_branch(dace.properties.CodeBlock("c[0] < 5"), low)
    step(low, "up")
    high = ControlFlowRegion("high")
    choice.add_branch(None, high)
    high.add_node(BreakBlock("stop"), is_start_block=True)
    tail = LoopRegion("tail", "c[0] < 3", inverted=True, update_before_condition=False)
    sdfg.add_node(tail)
    step(tail, "again")
    sdfg.add_edge(loop, tail, dace.InterstateEdge())
    return sdfg


def without_folders(element):
    """The element with the names of source files cut to their last part."""
    if isinstance(element, list):
        return [without_folders(item) for item in element]
    if isinstance(element, dict):
        short = {key: without_folders(value) for key, value in element.items()}
        if "filename" in short and short["filename"]:
            short["filename"] = pathlib.Path(short["filename"]).name
        if "source_files" in short:
            short["source_files"] = [pathlib.Path(name).name for name in short["source_files"]]
        return short
    return element


def main(folder):
    version = dace.__version__.replace(".", "_")
    for build in (saxpy, machine, accumulate, nested, queue, records, regions):
        try:
            sdfg = build()
            sdfg.validate()
            text = sdfg.to_json()
        except Exception as error:  # a part of the format that this version does not have
            print(f"{build.__name__}: not in this version ({type(error).__name__}: {error})")
            continue
        text["dace_version"] = dace.__version__
        text = without_folders(json.loads(json.dumps(text, default=dace.serialize.to_json)))
        path = pathlib.Path(folder) / f"{build.__name__}-{version}.sdfg"
        path.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
