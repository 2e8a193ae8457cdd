"""What GT4Py asks of a backend, point by point."""

import pickle
import threading

import gt4py.next as gtx
import numpy as np
import pytest
from gt4py.next import neighbor_sum
from gt4py.next.instrumentation import metrics
from meshes import C2E, C2EDim, CELLS, EDGES, I, J, K, LEVELS, Cell, CellK, Edge, EdgeK, IField, connectivity, view_field

import pelton
import pelton.gt4py

BACKENDS = [pelton.gt4py.cpu, pelton.gt4py.make_backend(engine="interp")]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request):
    return request.param


def field(dims, array, backend, origin=None):
    return gtx.as_field(list(dims), np.asarray(array), allocator=backend, origin=origin)


def test_field_operator_with_out(backend):
    @gtx.field_operator(backend=backend)
    def double(a: IField) -> IField:
        return a + a

    a, out = field([I], np.arange(4.0), backend), field([I], np.zeros(4), backend)
    double(a, out=out, offset_provider={})
    assert np.array_equal(out.asnumpy(), 2 * np.arange(4.0))


def test_program_writes_its_domain_only(backend):
    @gtx.field_operator
    def double(a: IField) -> IField:
        return a + a

    @gtx.program(backend=backend)
    def program(a: IField, out: IField, n: gtx.int32):
        double(a, out=out, domain={I: (1, n)})

    a, out = field([I], np.arange(6.0), backend), field([I], np.full(6, -1.0), backend)
    program(a, out, 4, offset_provider={})
    assert np.array_equal(out.asnumpy(), [-1, 2, 4, 6, -1, -1])


def test_nested_tuples_in_and_out(backend):
    @gtx.field_operator(backend=backend)
    def mix(p: tuple[IField, tuple[IField, gtx.float64]]) -> tuple[tuple[IField, IField], IField]:
        return (p[0] + p[1][0], p[0]), p[1][0] * p[1][1]

    a, b = field([I], np.arange(3.0), backend), field([I], np.arange(3.0) + 10, backend)
    out = ((field([I], np.zeros(3), backend), field([I], np.zeros(3), backend)), field([I], np.zeros(3), backend))
    mix((a, (b, 2.0)), out=out, offset_provider={})
    assert np.array_equal(out[0][0].asnumpy(), a.asnumpy() + b.asnumpy())
    assert np.array_equal(out[0][1].asnumpy(), a.asnumpy())
    assert np.array_equal(out[1].asnumpy(), 2 * b.asnumpy())


def test_origins(backend):
    @gtx.field_operator(backend=backend)
    def right(a: IField) -> IField:
        return a(I + 1)

    a = field([I], np.arange(6.0), backend, origin={I: 2})
    out = field([I], np.zeros(3), backend, origin={I: 1})
    right(a, out=out, offset_provider={})
    # Coordinates of `out` are -1, 0, 1; its neighbours are 0, 1, 2, which are elements 2, 3, 4 of `a`.
    assert np.array_equal(out.asnumpy(), [2, 3, 4])


def test_zero_dimensional_fields(backend):
    @gtx.field_operator(backend=backend)
    def square(a: gtx.Field[[], gtx.float64]) -> gtx.Field[[], gtx.float64]:
        return a * a

    out = gtx.as_field([], np.asarray(0.0), allocator=backend)
    square(gtx.as_field([], np.asarray(3.0), allocator=backend), out=out, offset_provider={})
    assert out.as_scalar() == 9.0


def test_scalars_of_every_kind(backend):
    @gtx.field_operator
    def pick(a: IField, flag: bool, n: gtx.int32, x: gtx.float64) -> IField:
        return a * x + 1.0 if flag else a

    @gtx.program(backend=backend)
    def program(a: IField, flag: bool, n: gtx.int32, x: gtx.float64, out: IField):
        pick(a, flag, n, x, out=out)

    for flag in (True, np.bool_(True)):
        for x in (2.0, np.float64(2.0)):
            out = field([I], np.zeros(3), backend)
            program(field([I], np.arange(3.0), backend), flag, np.int32(1), x, out, offset_provider={})
            assert np.array_equal(out.asnumpy(), [1, 3, 5])


def test_static_parameters_and_ahead_of_time(backend):
    @gtx.field_operator
    def scale(a: IField, n: gtx.int32) -> IField:
        return a * 2.0 if n == 1 else a * 3.0

    @gtx.program(backend=backend)
    def program(a: IField, out: IField, n: gtx.int32):
        scale(a, n, out=out)

    program = program.with_compilation_options(enable_jit=False)
    program.compile(n=[1, 2], offset_provider={})
    gtx.wait_for_compilation()
    a = field([I], np.arange(3.0), backend)
    for n, factor in ((1, 2.0), (2, 3.0)):
        out = field([I], np.zeros(3), backend)
        program(a, out, n, offset_provider={})
        assert np.array_equal(out.asnumpy(), factor * a.asnumpy())
    with pytest.raises(RuntimeError):
        program(a, a, 3, offset_provider={})


def test_static_domains(backend):
    @gtx.field_operator
    def copy(a: IField) -> IField:
        return a

    @gtx.program(backend=backend, static_domains=True)
    def program(a: IField, out: IField):
        copy(a, out=out)

    for n in (3, 5):
        out = field([I], np.zeros(n), backend)
        program(field([I], np.arange(float(n)), backend), out, offset_provider={})
        assert np.array_equal(out.asnumpy(), np.arange(float(n)))


def test_compute_metric(backend):
    @gtx.field_operator
    def copy(a: IField) -> IField:
        return a

    @gtx.program(backend=backend)
    def measured(a: IField, out: IField):
        copy(a, out=out)

    out = field([I], np.zeros(3), backend)
    with metrics.metrics_context_level(metrics.PERFORMANCE) if hasattr(
        metrics, "metrics_context_level"
    ) else _metrics_level(metrics.PERFORMANCE):
        metrics.sources.clear()
        for _ in range(3):
            measured(field([I], np.arange(3.0), backend), out, offset_provider={})
    (source,) = (source for source in metrics.sources.values() if metrics.COMPUTE_METRIC in source.metrics)
    samples = source.metrics[metrics.COMPUTE_METRIC].samples
    assert len(samples) == 3 and all(0 < seconds < 1 for seconds in samples)
    assert source.metadata["backend"] == backend.name


class _metrics_level:
    def __init__(self, level):
        from gt4py.next import config

        self.config, self.level = config, level

    def __enter__(self):
        self.before, self.config.COLLECT_METRICS_LEVEL = self.config.COLLECT_METRICS_LEVEL, self.level

    def __exit__(self, *_):
        self.config.COLLECT_METRICS_LEVEL = self.before


def test_backend_and_artifact_pickle(backend):
    captured = []

    @gtx.field_operator
    def copy(a: IField) -> IField:
        return a

    @gtx.program(backend=backend)
    def program(a: IField, out: IField):
        copy(a, out=out)

    assert pickle.loads(pickle.dumps(backend.executor)) == backend.executor
    original = type(backend.executor).__call__

    def spy(self, definition):
        captured.append(original(self, definition))
        return captured[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(backend.executor), "__call__", spy)
        program(field([I], np.zeros(2), backend), field([I], np.zeros(2), backend), offset_provider={})
    artifact = pickle.loads(pickle.dumps(captured[0]))
    assert artifact == captured[0]
    out = field([I], np.zeros(2), backend)
    artifact.load()(field([I], np.ones(2), backend), out, offset_provider={})
    assert np.array_equal(out.asnumpy(), [1, 1])


@gtx.field_operator
def edge_sum(a: EdgeK) -> CellK:
    return neighbor_sum(a(C2E), axis=C2EDim)


def test_connectivities_by_identity(backend):
    @gtx.program(backend=backend)
    def program(a: EdgeK, out: CellK):
        edge_sum(a, out=out)

    a = field([Edge, K], np.random.default_rng(1).random((EDGES, LEVELS)), backend)
    first = connectivity()
    second = connectivity(np.asarray(first.ndarray)[:, ::-1].copy() * 0)
    for table in (first, second, first):
        out = field([Cell, K], np.zeros((CELLS, LEVELS)), backend)
        program(a, out, offset_provider={"C2E": table})
        assert np.allclose(out.asnumpy(), a.asnumpy()[np.asarray(table.ndarray)].sum(axis=1))


def test_skip_values(backend):
    @gtx.program(backend=backend)
    def program(a: EdgeK, out: CellK):
        edge_sum(a, out=out)

    rows = np.asarray(connectivity().ndarray).copy()
    rows[:, 2] = -1
    a = field([Edge, K], np.random.default_rng(1).random((EDGES, LEVELS)), backend)
    out = field([Cell, K], np.zeros((CELLS, LEVELS)), backend)
    program(a, out, offset_provider={"C2E": connectivity(rows, skip_value=-1)})
    assert np.allclose(out.asnumpy(), a.asnumpy()[rows[:, :2]].sum(axis=1))


def test_fortran_views_are_used_in_place():
    """icon4py's fields are column-major views of Fortran memory, padded to a block length."""

    @gtx.program(backend=pelton.gt4py.cpu)
    def program(a: EdgeK, out: CellK):
        edge_sum(a, out=out)

    padded = np.zeros((EDGES + 7, LEVELS), order="F")
    padded[...] = np.random.default_rng(2).random(padded.shape)
    a = view_field([Edge, K], padded)
    target = np.full((CELLS + 3, LEVELS), -1.0, order="F")
    out = view_field([Cell, K], target[:CELLS])
    assert np.shares_memory(a.ndarray, padded) and np.shares_memory(out.ndarray, target)
    table = connectivity()
    program(a, out, offset_provider={"C2E": table})
    assert np.allclose(target[:CELLS], padded[np.asarray(table.ndarray)].sum(axis=1))
    assert np.all(target[CELLS:] == -1.0)


def test_calls_from_many_threads(backend):
    @gtx.field_operator
    def twice(a: gtx.Field[[I, J], gtx.float64]) -> gtx.Field[[I, J], gtx.float64]:
        return a + a

    @gtx.program(backend=backend)
    def program(a: gtx.Field[[I, J], gtx.float64], out: gtx.Field[[I, J], gtx.float64]):
        twice(a, out=out)

    warm = field([I, J], np.zeros((3, 4)), backend)
    program(warm, field([I, J], np.zeros((3, 4)), backend), offset_provider={})
    failures = []

    def work(number):
        for repeat in range(20):
            shape = (3 + number % 2, 4 + repeat % 3)
            a = field([I, J], np.full(shape, float(number)), backend)
            out = field([I, J], np.zeros(shape), backend)
            program(a, out, offset_provider={})
            if not np.all(out.asnumpy() == 2.0 * number):
                failures.append((number, repeat))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_hooks_fire(backend):
    seen = []

    @gtx.field_operator
    def copy(a: IField) -> IField:
        return a

    @gtx.program(backend=backend)
    def program(a: IField, out: IField):
        copy(a, out=out)

    import contextlib

    from gt4py.next.otf import compiled_program

    @contextlib.contextmanager
    def around(program_pool, key, args, kwargs, offset_provider):
        seen.append("enter")
        yield
        seen.append("exit")

    compiled_program.compiled_program_call_context.register(around)
    try:
        program(field([I], np.zeros(2), backend), field([I], np.zeros(2), backend), offset_provider={})
    finally:
        compiled_program.compiled_program_call_context.remove(around)
    assert seen == ["enter", "exit"]


def test_errors_name_program_field_and_place(backend):
    @gtx.field_operator
    def right(a: IField) -> IField:
        return a(I + 1)

    @gtx.program(backend=backend)
    def too_far(a: IField, out: IField):
        right(a, out=out)

    a, out = field([I], np.zeros(4), backend), field([I], np.full(4, 7.0), backend)
    with pytest.raises(pelton.PeltonError) as error:
        too_far(a, out, offset_provider={})
    assert "too_far" in str(error.value) and "`a`" in str(error.value)


def test_bad_tables_are_named(backend):
    @gtx.program(backend=backend)
    def program(a: EdgeK, out: CellK):
        edge_sum(a, out=out)

    rows = np.asarray(connectivity().ndarray).copy()
    a = field([Edge, K], np.zeros((EDGES, LEVELS)), backend)
    out = field([Cell, K], np.full((CELLS, LEVELS), 7.0), backend)
    rows[2, 1] = -1
    with pytest.raises(pelton.PeltonError, match="`program`.*C2E|C2E(?s:.*)`program`"):
        program(a, out, offset_provider={"C2E": connectivity(rows.copy())})
    assert np.all(out.asnumpy() == 7.0)
    rows[2, 1] = EDGES
    with pytest.raises(pelton.PeltonError, match="`a"):
        program(a, out, offset_provider={"C2E": connectivity(rows.copy())})


def test_missing_offset_provider(backend):
    @gtx.program(backend=backend)
    def program(a: EdgeK, out: CellK):
        edge_sum(a, out=out)

    with pytest.raises(pelton.PeltonError, match="C2E"):
        program(
            field([Edge, K], np.zeros((EDGES, LEVELS)), backend),
            field([Cell, K], np.zeros((CELLS, LEVELS)), backend),
            offset_provider={},
        )
