"""Runs a program as DaCe compiles it and records what its states write, for `pelton locate --recorded`.

    PYTHON scripts/dace-record.py PROGRAM.sdfg(z) INPUTS.npz OUTPUT.npz [--only STATE/NAME ...]

PYTHON is one that has DaCe, whose compiler and CMake have to be at hand. Every container that a state of the outermost graph
writes is recorded as STATE/NAME after the state has run (STATE/NAME#K when it runs for the (K+1)-th time), and every array
argument as NAME after the program has ended. --only records fewer of the former.
"""

import argparse
import collections
import os
import sys
import tempfile

import dace
import numpy as np
from dace.frontend.python.parser import infer_symbols_from_datadescriptor


def last_writes(state):
    """The last access node per container outside of scopes, for those that the state writes."""
    scopes = state.scope_dict()
    found = {}
    for node in dace.sdfg.utils.dfs_topological_sort(state):
        if isinstance(node, dace.nodes.AccessNode) and scopes[node] is None and state.in_degree(node) > 0:
            found[node.data] = node
    return found


def instrument(sdfg, only):
    """Lets DaCe save what states write; gives the names under which that is recorded."""
    states = list(sdfg.states())
    labels = collections.Counter(state.label for state in states)
    names = set()
    for state in states:
        if labels[state.label] > 1:
            print(f"not recorded: several states are called {state.label}", file=sys.stderr)
            continue
        for data, node in last_writes(state).items():
            name = f"{state.label}/{data}"
            plain = type(sdfg.arrays[data]) in (dace.data.Array, dace.data.Scalar)
            if plain and (not only or name in only):
                node.instrument = dace.DataInstrumentationType.Save
                names.add(name)
    return names


def saved(sdfg):
    """The names by container and by what DaCe calls the node in the names of files; `sdfg` is the graph that was compiled."""
    names = {}
    for state in sdfg.states():
        graph = state.parent_graph
        for node in state.data_nodes():
            if node.instrument == dace.DataInstrumentationType.Save:
                number = f"{graph.cfg_id}_{graph.node_id(state)}_{state.node_id(node)}"
                names[(node.data, number)] = f"{state.label}/{node.data}"
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("inputs")
    parser.add_argument("output")
    parser.add_argument("--only", nargs="+", metavar="STATE/NAME", default=[])
    given = parser.parse_args()
    program, inputs, output = (os.path.abspath(path) for path in (given.program, given.inputs, given.output))
    sdfg = dace.SDFG.from_file(program)
    names = instrument(sdfg, set(given.only))
    for name in set(given.only) - names:
        sys.exit(f"{name} is nothing that a state writes")
    with np.load(inputs) as file:
        arguments = {name: np.array(file[name]) for name in file.files}
    arguments = {
        name: value[()] if value.ndim == 0 and not isinstance(sdfg.arrays.get(name), dace.data.Array) else value
        for name, value in arguments.items()
        if name in sdfg.arglist() or name in sdfg.free_symbols
    }
    recorded = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # DaCe leaves files where it runs.
        compiled = sdfg.compile()
        names = saved(compiled.sdfg)
        symbols = infer_symbols_from_datadescriptor(sdfg, arguments)
        compiled(**{**symbols, **arguments})
        compiled.finalize()
        report = compiled.sdfg.get_instrumented_data()
        for data in report.keys() if report else []:
            values = report[data]
            files = report.files[data]
            turns = collections.Counter()
            for path, value in zip(files, values if len(files) > 1 else [values]):
                node = os.path.basename(path).rsplit("_", 1)[0]
                name, turn = names[(data, node)], turns[node]
                turns[node] += 1
                recorded[f"{name}#{turn}" if turn else name] = np.array(value)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            recorded[name] = value
    np.savez(output, **recorded)
    print(f"{len(recorded)} arrays recorded")


main()
