"""A backend for GT4Py.

>>> import gt4py.next as gtx, pelton.gt4py
>>> @gtx.field_operator(backend=pelton.gt4py.cpu)          # doctest: +SKIP
... def double(a: gtx.Field[[K], float]) -> gtx.Field[[K], float]:
...     return a + a

The backend takes the program as GT4Py's frontend emits it; none of GT4Py's passes runs, and neither DaCe nor a
C++ compiler is needed.

**Compilation** takes milliseconds, so it happens in the thread that asks for it, whatever GT4Py's build jobs are
configured to: a worker process would take longer to start than the work takes. What a program compiles to depends on
the layouts of its arguments, so the first call with a new layout compiles, and a few layouts are kept.

**There is no persistent cache**: reading one would take about as long as compiling does. Who builds one for other reasons
can key it by :func:`fingerprint`.

**Connectivities** are looked at once per object: a table is checked when a program first sees it, and its entries must not
be changed while programs use it. With ``checked=True`` they are checked in every call.

**Memory** of temporaries comes from a pool of the process; ``make_backend(memory=...)`` has the other ways, memory of the
caller among them, and :func:`memory_needed` tells how much a call needs.

**Threads**: a compiled program can be called from several threads at once; the GIL is released while it runs, unless
its arrays are so small that others would not notice.

**Errors** are :class:`pelton.PeltonError`; the text names the program, the argument and the place, and nothing has been
written unless it says that the program itself stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from gt4py.next import backend as gtx_backend
from gt4py.next import common, config, custom_layout_allocators
from gt4py.next.instrumentation import metrics
from gt4py.next.iterator import ir as itir

from pelton import Workspace, _pelton, gtir_json

__all__ = [
    "Options",
    "PeltonArtifact",
    "PeltonBackend",
    "PeltonCompile",
    "cpu",
    "cpu_checked",
    "fingerprint",
    "make_backend",
    "memory_needed",
]

Connectivity = tuple[str, str, str, str, int, int | None]
"""Name, source, local and target dimension, number of neighbours, skip value."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How programs run; see :func:`make_backend`."""

    engine: str = "auto"
    mode: str = "strict"
    threads: int | None = None
    checked: bool = False
    #: ``"pool"``, ``"scoped"``, ``"persistent"`` or ``"external"``.
    memory: str = "pool"

    def __post_init__(self) -> None:
        if self.mode not in ("strict", "fast"):
            raise ValueError(f"no mode is called {self.mode!r}; there are 'strict' and 'fast'")
        if self.memory not in ("pool", "scoped", "persistent", "external"):
            raise ValueError(f"no memory is called {self.memory!r}; there are 'pool', 'scoped' and 'persistent', or an array")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"a program runs on at least one thread, not on {self.threads}")
        _pelton.check_engine(self.engine)


@dataclasses.dataclass(frozen=True)
class PeltonArtifact:
    """A compiled program as data: the exported tree, and what is known about its mesh. It pickles."""

    name: str
    gtir: bytes
    connectivities: tuple[Connectivity, ...]
    #: Connectivities without a table: neighbour ``i`` of point ``n`` is ``n * max_neighbors + i``.
    strided: tuple[str, ...]
    column_axis: str | None
    options: Options

    def load(self, workspace: Workspace | None = None) -> Callable[..., None]:
        """The program as GT4Py calls it: ``program(*args, offset_provider=..., out=...)``."""
        program = self.compiled(workspace)
        if not self.strided:
            return program

        def call(*args: Any, offset_provider: common.OffsetProvider, **kwargs: Any) -> None:
            program(*args, offset_provider=self.with_tables(offset_provider, args, kwargs), **kwargs)

        return call

    def compiled(self, workspace: Workspace | None = None) -> _pelton.GtirProgram:
        """The program with a table for each connectivity."""
        if self.options.memory == "persistent":
            workspace = Workspace()
        return _pelton.GtirProgram(
            self.gtir,
            self.connectivities,
            self.column_axis,
            engine=self.options.engine,
            mode=self.options.mode,
            threads=self.options.threads,
            checked=self.options.checked,
            scoped=self.options.memory == "scoped",
            workspace=workspace,
            metrics=(config, metrics.PERFORMANCE, functools.partial(_add_sample, metrics.COMPUTE_METRIC)),
        )

    def with_tables(
        self, provider: common.OffsetProvider, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The provider with a table for each strided connectivity."""
        return _with_tables(provider, self.strided, (args, *kwargs.values())) if self.strided else provider


@dataclasses.dataclass(frozen=True)
class PeltonBackend(gtx_backend.Backend):
    """A backend whose programs take memory for temporaries from a workspace."""

    #: ``None``: as the options say.
    workspace: Workspace | None = None

    def load_artifact(self, artifact: Any) -> Any:
        """The program of an artifact."""
        # One that GT4Py made of a loaded program has its memory already.
        return artifact.load(self.workspace) if isinstance(artifact, _ARTIFACTS) else artifact.load()


def _add_sample(metric: str, seconds: float) -> None:
    metrics.add_sample_to_current_source(metric, seconds)


@dataclasses.dataclass(frozen=True)
class PeltonCompile:
    """From GTIR to an artifact: GT4Py calls this a backend's executor. It pickles."""

    options: Options

    def __call__(self, inp: Any) -> PeltonArtifact:
        axis = inp.args.column_axis
        provider: common.OffsetProvider = inp.args.offset_provider or {}
        return PeltonArtifact(
            name=str(inp.data.id),
            gtir=gtir_json.dumps(inp.data),
            connectivities=tuple(_connectivities(provider)),
            strided=tuple(name for name, entry in provider.items() if _is_strided(entry)),
            column_axis=None if axis is None else axis.value,
            options=self.options,
        )


def fingerprint(program: itir.Program, offset_provider: common.OffsetProvider, options: Options) -> str:
    """A key for what the program compiles to on this version of Pelton, by content.

    It covers the exported tree and, of the offset provider, what is compiled in: names, dimensions, numbers of neighbours
    and skip values, but no table entries.
    """
    parts = (_pelton.version(), gtir_json.dumps(program), tuple(_connectivities(offset_provider)), options)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _connectivities(provider: common.OffsetProvider) -> Iterable[Connectivity]:
    for name, entry in provider.items():
        if not common.is_neighbor_table(entry):
            continue
        kind = entry.__gt_type__()
        yield (
            name,
            kind.source_dim.value,
            kind.neighbor_dim.value,
            kind.codomain.value,
            int(kind.max_neighbors),
            -1 if kind.has_skip_values else None,
        )


def _is_strided(entry: Any) -> bool:
    if not common.is_neighbor_table(entry):
        return False
    try:
        entry.ndarray
    except NotImplementedError:
        return True
    return False


@dataclasses.dataclass(frozen=True)
class _Table:
    ndarray: np.ndarray


@functools.lru_cache(maxsize=64)
def _strided_table(rows: int, max_neighbors: int) -> _Table:
    return _Table(np.arange(rows * max_neighbors, dtype=np.int32).reshape(rows, max_neighbors))


def _with_tables(provider: common.OffsetProvider, strided: Iterable[str], args: Any) -> Mapping[str, Any]:
    """The provider with a table for each strided connectivity, as long as the fields over its target allow."""
    tables = dict(provider)
    for name in strided:
        kind = provider[name].__gt_type__()
        stops = [0]
        _collect_stops(args, kind.codomain, stops)
        tables[name] = _strided_table(max(stops) // kind.max_neighbors, int(kind.max_neighbors))
    return tables


def _collect_stops(arg: Any, dim: common.Dimension, stops: list[int]) -> None:
    if isinstance(arg, tuple):
        for element in arg:
            _collect_stops(element, dim, stops)
    elif isinstance(arg, common.Field) and dim in arg.domain.dims:
        stops.append(arg.domain[dim].unit_range.stop)


def _compile_in_calling_thread() -> None:
    """Keeps GT4Py's process pool from starting workers for programs that compile in milliseconds.

    GT4Py offers no way for a backend to say so: its pool takes every task, or warns. Other backends are not affected.
    """
    try:
        from gt4py.next.otf import runners

        submit = runners.ProcessRunner.submit
        serial = runners.SerialRunner()
    except (ImportError, AttributeError):
        return
    if hasattr(submit, "__wrapped__"):
        return

    @functools.wraps(submit)
    def in_calling_thread(self: Any, task: Any) -> Any:
        if isinstance(task.executor, PeltonCompile):
            return serial.submit(task)
        return submit(self, task)

    runners.ProcessRunner.submit = in_calling_thread


_compile_in_calling_thread()


def make_backend(
    *,
    engine: str = "auto",
    mode: str = "strict",
    threads: int | None = None,
    checked: bool = False,
    memory: str | Workspace | np.ndarray = "pool",
    name: str | None = None,
) -> PeltonBackend:
    """A backend with the given options.

    Args:
        engine: ``"auto"``, ``"native"``, ``"interp"`` (the reference interpreter) or ``"gtir-oracle"``.
        mode: ``"strict"`` gives the reference interpreter's bits on every engine; ``"fast"`` also permits contraction and
            reassociation.
        threads: at most so many threads per call; ``None`` leaves it to Pelton. Results do not depend on it.
        checked: also find accesses out of bounds and reads of elements that nobody wrote, with the place.
        memory: where temporaries lie, with what GT4Py calls it for its own backends. ``"pool"`` (POOL): in slabs that all
            programs of the process share; ``"scoped"`` (SCOPED): in allocations of each call; ``"persistent"``
            (PERSISTENT): in a slab that the program keeps; an array or a :class:`pelton.Workspace` (EXTERNAL): in memory of
            the caller, which programs share, and whose size :func:`memory_needed` tells in advance. A call that needs
            more than there is is refused before anything is written.
        name: what GT4Py calls the backend in metrics and messages; made from the options by default.
    """
    workspace = None
    if not isinstance(memory, str):
        workspace = memory if isinstance(memory, Workspace) else Workspace(memory)
        memory = "external"
    elif memory == "external":
        raise ValueError("external memory is given itself: make_backend(memory=array)")
    options = Options(engine=engine, mode=mode, threads=threads, checked=checked, memory=memory)
    return PeltonBackend(
        name=name or _name(options),
        executor=PeltonCompile(options),
        allocator=custom_layout_allocators.StandardCPUFieldBufferAllocator(),
        transforms=gtx_backend.DEFAULT_TRANSFORMS,
        workspace=workspace,
    )


def _name(options: Options) -> str:
    parts = ["pelton", "cpu" if options.engine == "auto" else options.engine]
    if options.mode != "strict":
        parts.append(options.mode)
    if options.threads is not None:
        parts.append(f"threads{options.threads}")
    if options.memory != "pool":
        parts.append(options.memory)
    if options.checked:
        parts.append("checked")
    return "_".join(parts)


@dataclasses.dataclass(frozen=True)
class _Measurement:
    """An artifact whose program says what it needs in place of running."""

    artifact: PeltonArtifact
    found: list[int]

    def load(self, workspace: Workspace | None = None) -> Callable[..., None]:
        program = self.artifact.compiled()

        def call(*args: Any, offset_provider: common.OffsetProvider, **kwargs: Any) -> None:
            tables = self.artifact.with_tables(offset_provider, args, kwargs)
            self.found.append(program.memory_needed(*args, offset_provider=tables, **kwargs))

        return call


@dataclasses.dataclass(frozen=True)
class _Measure(PeltonCompile):
    found: list[int] = dataclasses.field(default_factory=list, compare=False)

    def __call__(self, inp: Any) -> _Measurement:
        return _Measurement(super().__call__(inp), self.found)


def memory_needed(program: Any, *args: Any, **kwargs: Any) -> int:
    """Bytes that memory of the caller has to have for this call, alignment included. Nothing runs, no field is written.

    Args:
        program: a program or field operator of GT4Py with a backend of Pelton.
        args: its arguments, as for a call.
        kwargs: likewise, ``offset_provider`` among them.
    """
    backend = program.backend
    if not isinstance(backend, PeltonBackend):
        raise TypeError(f"the program has the backend {getattr(backend, 'name', None)}, which is none of Pelton's")
    measure = _Measure(backend.executor.options)
    program.with_backend(dataclasses.replace(backend, executor=measure))(*args, **kwargs)
    needed = measure.found[-1]
    return needed and needed + _ALIGNMENT - 1


_ARTIFACTS = (PeltonArtifact, _Measurement)

#: Slabs start on cache lines.
_ALIGNMENT = 64

cpu = make_backend()
"""The backend for the CPU."""

cpu_checked = make_backend(engine="interp", checked=True)
"""The reference interpreter in checked mode: slow, and it finds what is wrong."""
