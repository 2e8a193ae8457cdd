"""Types of the compiled part."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

class PeltonError(RuntimeError):
    """A refused program or argument, or a fault of the program; the text names program, field and place."""

def version() -> str: ...

class Program:
    """A program file, made ready for an engine."""

    def __init__(self, path: str, *, engine: str = "auto", checked: bool = False) -> None: ...
    def __call__(self, **arguments: np.ndarray | int | float | bool | complex) -> None:
        """Runs the program; arrays are written in place, returned ones (`__return`) included."""

class GtirProgram:
    """A GTIR program; variants for layouts, types and aliases are made on demand."""

    def __init__(
        self,
        gtir: bytes,
        connectivities: Sequence[tuple[str, str, str, str, int, int | None]],
        column_axis: str | None = None,
        *,
        engine: str = "auto",
        checked: bool = False,
    ) -> None: ...
    def __call__(self, args: tuple[Any, ...], tables: Mapping[str, np.ndarray]) -> float:
        """Runs the program in place; returns the seconds spent in the engine."""
