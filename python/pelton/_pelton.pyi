"""Types of the compiled part."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

class PeltonError(RuntimeError):
    """A refused program or argument, or a fault of the program; the text names program, field and place."""

def version() -> str:
    """The version of the package."""

def check_engine(name: str) -> None:
    """Raises `ValueError` unless there is an engine of that name."""

class Program:
    """A program file (`.sdfg`, `.sdfgz`, `.pel`), made ready for an engine."""

    def __init__(self, path: str, *, engine: str = "auto", checked: bool = False) -> None: ...
    def __call__(self, **arguments: np.ndarray | int | float | bool | complex) -> None:
        """Runs the program; arrays are written in place, returned ones (`__return`) included."""

class GtirProgram:
    """A GTIR program. Code for layouts, types and aliases of arguments is made when a call brings them."""

    def __init__(
        self,
        gtir: bytes,
        connectivities: Sequence[tuple[str, str, str, str, int, int | None]],
        column_axis: str | None = None,
        *,
        engine: str = "auto",
        mode: str = "strict",
        threads: int | None = None,
        checked: bool = False,
        metrics: tuple[ModuleType, int, Callable[[float], None]] | None = None,
    ) -> None:
        """Reads `gtir-json/1`.

        Args:
            gtir: the program as UTF-8 JSON.
            connectivities: name, source, local and target dimension, number of neighbours, skip value.
            column_axis: the dimension that scans run along, if it is not simply the vertical one.
            metrics: GT4Py's settings, the level from which seconds are wanted, and what takes them.
        """

    def __call__(self, *args: Any, offset_provider: Mapping[str, Any], out: Any = None) -> None:
        """Runs the program in place on fields, numbers and tuples of them; `out` comes after `args`."""

    def mentioned_connectivities(self) -> list[str]:
        """The names of the connectivities that the program's text mentions."""
