"""Types of the compiled part."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

class PeltonError(RuntimeError):
    """A refused program or argument, or a fault of the program; the text names program, field and place."""

def version() -> str:
    """The version of the package."""

def check_engine(name: str) -> None:
    """Raises `ValueError` unless there is an engine of that name."""

class Program:
    """A program file (`.sdfg`, `.sdfgz`, `.pel`), made ready for an engine."""

    def __init__(
        self,
        path: str,
        *,
        engine: str = "auto",
        mode: str = "strict",
        threads: int | None = None,
        checked: bool = False,
        allow_f32: bool = False,
    ) -> None:
        """`allow_f32` has a GPU without `float64` compute in `float32` (with `engine="gpu"`)."""

    def __call__(
        self, **arguments: np.ndarray | DeviceArray | SupportsIndex | SupportsFloat | complex | None
    ) -> None:
        """Runs the program; arrays are written in place, returned ones (`__return`) included.

        `None` stands for an argument that is not given.
        """

class DeviceArray:
    """An array that programs with `engine="gpu"` find on the GPU and leave there.

    It is copied by `upload` and `download`, and not otherwise. Other engines take it as well, and work on a copy of the
    host's. There is one queue: calls, uploads and downloads take effect in the order in which they are made, and a
    call may return before the device is done.
    """

    def __init__(self, array: np.ndarray) -> None:
        """An array with these elements, uploaded."""

    def upload(self, array: np.ndarray) -> None:
        """Replaces all elements by those of an array of the same shape and element type."""

    def download(self) -> np.ndarray:
        """The elements as a new array; waits for what was submitted before."""

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """What `numpy.asarray` gives: a copy of the elements, so that `copy=False` is refused."""

    def __dlpack__(self, **options: Any) -> Any:
        """A copy of the elements in the host's memory, for those who take DLPack."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """The host's memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its extents."""

    @property
    def dtype(self) -> np.dtype:
        """The type of its elements."""

def synchronize() -> None:
    """Waits until everything that was submitted to the GPU is done."""

class Workspace:
    """Memory for temporaries that programs and threads share."""

    def __init__(self, memory: np.ndarray | None = None) -> None:
        """Takes memory from the system as it is needed, or all of it from an array (up to 63 bytes at its start are skipped).

        While calls run, nobody else may use the array. A call that needs more is refused before anything is written; calls
        at the same time wait for each other.
        """

    @property
    def fixed_bytes(self) -> int | None:
        """Bytes of the memory given; `None` if the workspace grows."""

    def statistics(self) -> dict[str, int]:
        """Calls, growths, failures and waits so far; bytes held and leased now, and leased at most at one time."""

    def trim(self) -> None:
        """Gives memory that no call uses back to the system; the caller's stays."""

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
        scoped: bool = False,
        workspace: Workspace | None = None,
        metrics: tuple[ModuleType, int, Callable[[float], None]] | None = None,
    ) -> None:
        """Reads `gtir-json/1`.

        Args:
            gtir: the program as UTF-8 JSON.
            connectivities: name, source, local and target dimension, number of neighbours, skip value.
            column_axis: the dimension that scans run along, if it is not simply the vertical one.
            scoped: an allocation per temporary and call, in place of one slab for all.
            workspace: where slabs come from; the process's by default.
            metrics: GT4Py's settings, the level from which seconds are wanted, and what takes them.
        """

    def __call__(self, *args: Any, offset_provider: Mapping[str, Any], out: Any = None) -> None:
        """Runs the program in place on fields, numbers and tuples of them; `out` comes after `args`."""

    def memory_needed(self, *args: Any, offset_provider: Mapping[str, Any], out: Any = None) -> int:
        """Bytes of temporaries that such a call takes from its workspace at most. Nothing runs."""

    def mentioned_connectivities(self) -> list[str]:
        """The names of the connectivities that the program's text mentions."""
