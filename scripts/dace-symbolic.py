#!/usr/bin/env python3
"""Lets DaCe read the symbolic text that Pelton prints, and compares the values with those of the original text.

    python scripts/dace-symbolic.py LIST

LIST has one line per expression: the original text, a tab, the printed one. `cargo test --test symbolic_corpus` writes such a
list and runs this script when PELTON_DACE_PYTHON names a Python that has DaCe.
"""

import random
import sys

import dace
import sympy
from dace import symbolic


def value(expression, numbers):
    """The number that an expression is when every symbol has its value."""
    if isinstance(expression, symbolic.SymExpr):
        expression = expression.expr
    names = {symbol: numbers.setdefault(symbol.name, random.randint(1, 40)) for symbol in expression.free_symbols}
    # Deserialised trees are unevaluated: rebuild them bottom up.
    def evaluate(node):
        if node in names:
            return sympy.Integer(names[node])
        if isinstance(node, symbolic.TypedConstant):
            return node.value
        if not node.args:
            return node
        return node.func(*[evaluate(argument) for argument in node.args])

    return evaluate(expression)


def main(path):
    random.seed(1)
    refused = different = count = 0
    with open(path) as lines:
        for line in lines:
            original, printed = line.rstrip("\n").split("\t")
            try:
                before = symbolic.deserialize_symbolic(original)
            except Exception:
                continue
            count += 1
            try:
                after = symbolic.deserialize_symbolic(printed)
            except Exception as error:
                refused += 1
                print(f"REFUSED: {original} -> {printed}: {type(error).__name__}: {error}")
                continue
            for _ in range(3):
                numbers = {}
                if value(before, numbers) != value(after, numbers):
                    different += 1
                    print(f"DIFFERENT: {original} -> {printed} at {numbers}")
                    break
    print(f"DaCe {dace.__version__}: {count} texts, {refused} refused, {different} different")
    return 1 if refused or different or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
