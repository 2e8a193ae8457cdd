"""Calls that are compared with earlier ones: each difference that matters has to be seen."""

import pkgutil

import gt4py.next as gtx
import numpy as np
import pytest
from gt4py.next import backend as gtx_backend
from gt4py.next import common
from meshes import I, IField, J

import pelton
import pelton.gt4py


@gtx.field_operator
def shifted_sum(a: IField, b: IField, x: gtx.float64) -> IField:
    return a(I + 1) + x * b


@gtx.program(backend=pelton.gt4py.cpu)
def program(a: IField, b: IField, out: IField, x: gtx.float64, start: gtx.int32, stop: gtx.int32):
    shifted_sum(a, b, x, out=out, domain={I: (start, stop)})


def view(array, start=0):
    return common._field(array, domain=common.domain({I: (start, start + len(array))}))


def expected(a, b, out, x, start, stop, origin=0):
    result = out.copy()
    points = np.arange(start, stop) - origin
    result[points] = a[points + 1] + x * b[points]
    return result


def call_and_compare(a, b, out, x=2.0, start=0, stop=4, origin=0):
    wanted = expected(a, b, out, float(x), int(start), int(stop), origin)
    program(view(a, origin), view(b, origin), view(out, origin), x, start, stop, offset_provider={})
    assert np.array_equal(out, wanted)


def numbers(seed, length=6):
    return np.random.default_rng(seed).random(length)


def test_other_arrays_and_other_numbers():
    for seed in range(4):
        for stop in (4, 2, 5, 0):
            call_and_compare(numbers(seed), numbers(seed + 10), numbers(seed + 20), x=float(seed), stop=stop)


def test_field_objects_that_come_again():
    arrays = [numbers(seed) for seed in range(3)]
    fields = [view(array) for array in arrays]
    for turn in range(8):
        # Two that a time loop swaps, and every rotation of three.
        order = (0, 1, 2) if turn % 2 else ((1, 0, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1))[turn // 2]
        arrays[order[0]][:] = numbers(turn + 10)
        a, b, out = (arrays[place] for place in order)
        wanted = expected(a, b, out, float(turn), 0, 4)
        program(*(fields[place] for place in order), float(turn), 0, 4, offset_provider={})
        assert np.array_equal(out, wanted)


def test_an_array_that_changes_under_its_field():
    a, b, out = numbers(1), numbers(2), numbers(3)
    fields = [view(array) for array in (a, b, out)]
    for _ in range(3):
        wanted = expected(a, b, out, 2.0, 0, 4)
        program(*fields, 2.0, 0, 4, offset_provider={})
        assert np.array_equal(out, wanted)
    a.shape = (2, 3)
    before = out.copy()
    with pytest.raises(pelton.PeltonError, match="`a`"):
        compiled_program()(*fields, 2.0, 0, 4, offset_provider={})
    assert np.array_equal(out, before)
    a.shape = (6,)
    out.flags.writeable = False
    with pytest.raises(pelton.PeltonError, match="`out`.*read-only"):
        compiled_program()(*fields, 2.0, 0, 4, offset_provider={})


def test_numbers_of_other_types():
    for x in (2.0, np.float64(3.0), 4.0, np.float64(5.0)):
        for stop in (4, np.int32(3), np.int32(2), 5):
            call_and_compare(numbers(1), numbers(2), numbers(3), x=x, stop=stop)


def test_a_number_that_does_not_fit_is_refused_in_every_call():
    out = numbers(3)
    call_and_compare(numbers(1), numbers(2), out)
    for _ in range(2):
        before = out.copy()
        with pytest.raises((pelton.PeltonError, OverflowError), match="stop|int32|fit"):
            compiled_program()(view(numbers(1)), view(numbers(2)), view(out), 1.0, 0, 2**40, offset_provider={})
        assert np.array_equal(out, before)


def compiled_program():
    """The backend's callable, past GT4Py's own checks."""
    (compiled,) = set(program._compiled_programs.compiled_programs.values())
    return compiled


def test_other_origins():
    for origin in (0, 3, -2, 0, 3):
        call_and_compare(numbers(1), numbers(2), numbers(3), start=origin, stop=origin + 4, origin=origin)


def test_other_extents_and_strides():
    wide = numbers(5, 24)
    for length, step in ((6, 1), (8, 1), (6, 2), (6, 1), (6, 3), (7, 2)):
        a = wide[: length * step : step]
        call_and_compare(a, numbers(2, length), numbers(3, length))


def test_overlaps_that_come_and_go():
    a, b, out = numbers(1), numbers(2), numbers(3)
    call_and_compare(a, b, out)
    call_and_compare(a, a, out)
    call_and_compare(a, b, a)
    call_and_compare(out, b, out)
    call_and_compare(a, b, out)
    memory = numbers(4, 12)
    # Each point reads what its neighbour writes.
    for first, second in ((0, 1), (1, 0), (0, 3), (0, 6)):
        source, target = memory[first : first + 6], memory[second : second + 6]
        wanted = expected(source.copy(), b, target.copy(), 2.0, 0, 4)
        program(view(source), view(b), view(target), 2.0, 0, 4, offset_provider={})
        assert np.array_equal(target, wanted)


def test_read_only_fields():
    a, out = numbers(1), numbers(3)
    a.flags.writeable = False
    call_and_compare(a, numbers(2), out)
    out.flags.writeable = False
    with pytest.raises(pelton.PeltonError, match="`out`.*read-only"):
        program(view(a), view(numbers(2)), view(out), 2.0, 0, 4, offset_provider={})
    call_and_compare(a, numbers(2), numbers(3))


def test_foreign_byte_order_and_other_types_are_refused():
    call_and_compare(numbers(1), numbers(2), numbers(3))
    for a in (numbers(1).astype(">f8"), numbers(1).astype(np.float32)):
        with pytest.raises(pelton.PeltonError, match="`a`"):
            compiled_program()(view(a), view(numbers(2)), view(numbers(3)), 2.0, 0, 4, offset_provider={})


def test_dimensions_in_another_order_are_refused():
    @gtx.field_operator
    def copy(a: gtx.Field[[I, J], gtx.float64]) -> gtx.Field[[I, J], gtx.float64]:
        return a

    @gtx.program(backend=pelton.gt4py.cpu)
    def two(a: gtx.Field[[I, J], gtx.float64], out: gtx.Field[[I, J], gtx.float64]):
        copy(a, out=out)

    array = np.arange(9.0).reshape(3, 3)

    def field(dims, array):
        return common._field(array, domain=common.domain({dim: (0, 3) for dim in dims}))

    out = np.zeros((3, 3))
    two(field((I, J), array), field((I, J), out), offset_provider={})
    assert np.array_equal(out, array)
    (compiled,) = two._compiled_programs.compiled_programs.values()
    with pytest.raises(pelton.PeltonError, match="`a`"):
        compiled(field((J, I), array), field((I, J), out), offset_provider={})


def test_the_wrong_number_of_arguments_is_named():
    call_and_compare(numbers(1), numbers(2), numbers(3))
    with pytest.raises(pelton.PeltonError, match="`program` takes 6 arguments, 1"):
        compiled_program()(view(numbers(1)), offset_provider={})


def test_icon4py_finds_the_backend_by_name():
    """`--backend=pelton.gt4py:cpu` is resolved like this there."""
    assert isinstance(pkgutil.resolve_name("pelton.gt4py:cpu"), gtx_backend.Backend)


def test_options():
    assert pelton.gt4py.make_backend().name == "pelton_cpu"
    assert pelton.gt4py.make_backend(engine="interp", checked=True).name == "pelton_interp_checked"
    assert pelton.gt4py.make_backend(mode="fast", threads=2).name == "pelton_cpu_fast_threads2"
    for wrong in ({"engine": "gpu9"}, {"mode": "quick"}, {"threads": 0}):
        with pytest.raises(ValueError):
            pelton.gt4py.make_backend(**wrong)


def test_checked_backend_finds_what_is_out_of_bounds():
    checked = program.with_backend(pelton.gt4py.cpu_checked)
    with pytest.raises(pelton.PeltonError, match="`a`|a\\["):
        checked(view(numbers(1)), view(numbers(2)), view(numbers(3)), 2.0, 0, 6, offset_provider={})
