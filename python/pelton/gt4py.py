"""A GT4Py backend.

>>> import gt4py.next as gtx, pelton.gt4py
>>> @gtx.field_operator(backend=pelton.gt4py.cpu)          # doctest: +SKIP
... def double(a: gtx.Field[[K], float]) -> gtx.Field[[K], float]:
...     return a + a

The backend takes the program as GT4Py's frontend emits it; none of GT4Py's passes runs, and neither DaCe nor a
C++ compiler is needed. Compilation takes milliseconds, so it happens in the calling process.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from gt4py.next import backend as gtx_backend
from gt4py.next import common, custom_layout_allocators
from gt4py.next.instrumentation import metrics
from gt4py.next.otf import artifacts, stages, workflow

from pelton import _pelton, gtir_json

__all__ = ["PeltonBackend", "cpu", "cpu_checked", "make_backend"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How programs run."""

    engine: str = "auto"
    checked: bool = False


@dataclasses.dataclass(frozen=True)
class PeltonArtifact:
    """A compiled program as data: the exported tree and what is known about its mesh."""

    name: str
    gtir: bytes
    connectivities: tuple[tuple[str, str, str, str, int, int | None], ...]
    column_axis: str | None
    options: Options

    def load(self) -> artifacts.ExecutableProgram:
        program = _pelton.GtirProgram(
            self.gtir,
            self.connectivities,
            self.column_axis,
            engine=self.options.engine,
            checked=self.options.checked,
        )
        names = frozenset(name for name, *_ in self.connectivities)

        def call(*args: Any, offset_provider: common.OffsetProvider, out: Any = None, **_: Any) -> None:
            if out is not None:
                args = (*args, out)
            tables = {name: offset_provider[name].ndarray for name in names}
            seconds = program(args, tables)
            if metrics.is_level_enabled(metrics.PERFORMANCE):
                metrics.add_sample_to_current_source(metrics.COMPUTE_METRIC, seconds)

        call.__name__ = self.name
        return call


@dataclasses.dataclass(frozen=True)
class PeltonCompile(workflow.Workflow[stages.CompilableProgramDef, artifacts.CompilationArtifact]):
    """From GTIR to an artifact. The engine compiles when the first call shows layouts and sizes."""

    options: Options

    def __call__(self, inp: stages.CompilableProgramDef) -> PeltonArtifact:
        axis = inp.args.column_axis
        return PeltonArtifact(
            name=str(inp.data.id),
            gtir=gtir_json.dumps(inp.data),
            connectivities=tuple(_connectivities(inp.args.offset_provider)),
            column_axis=None if axis is None else axis.value,
            options=self.options,
        )


def _connectivities(provider: common.OffsetProvider):
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


class PeltonBackend(gtx_backend.Backend):
    """GT4Py's backend class; compiles in the calling process."""

    def compile(self, program: Any, compile_time_args: Any) -> artifacts.ExecutableProgram:
        definition = stages.ConcreteProgramDef(data=program, args=compile_time_args)
        return self.load_artifact(self.executor(self.transforms(definition)))


def make_backend(*, engine: str = "auto", checked: bool = False, name: str | None = None) -> PeltonBackend:
    """A backend with the given options.

    Args:
        engine: ``"auto"``, ``"native"``, ``"interp"`` (the reference interpreter) or ``"gtir-oracle"``.
        checked: also find out-of-bounds accesses and reads of undefined elements, with the place.
        name: what GT4Py calls the backend; unique per set of options by default.
    """
    options = Options(engine=engine, checked=checked)
    default = "pelton_cpu" if options == Options() else f"pelton_{engine}{'_checked' if checked else ''}"
    return PeltonBackend(
        name=name or default,
        executor=PeltonCompile(options),
        allocator=custom_layout_allocators.StandardCPUFieldBufferAllocator(),
        transforms=gtx_backend.DEFAULT_TRANSFORMS,
    )


cpu = make_backend()
"""The backend for the CPU."""

cpu_checked = make_backend(engine="interp", checked=True)
"""The reference interpreter in checked mode: slow, and it finds what is wrong."""
