"""Where temporaries lie: the counterparts of GT4Py's SCOPED, PERSISTENT, POOL and EXTERNAL."""

import threading

import gt4py.next as gtx
import numpy as np
import pytest
from meshes import K, view_field

import pelton
import pelton.gt4py

KField = gtx.Field[[K], gtx.float64]
LEVELS = 1000


@gtx.scan_operator(axis=K, forward=True, init=0.0)
def sums(state: float, a: float) -> float:
    return state + a


@gtx.field_operator
def differences(a: KField) -> KField:
    total = sums(a)
    return total(K + 1) - total(K - 1)


@gtx.program
def program(a: KField, out: KField):
    differences(a, out=out, domain={K: (1, 999)})


def call(backend, program=program):
    a, out = np.arange(float(LEVELS)), np.full(LEVELS, -1.0)
    program.with_backend(backend)(view_field([K], a), view_field([K], out), offset_provider={})
    return out


EXPECTED = np.concatenate([[-1.0], 2 * np.arange(1.0, 999.0) + 1, [-1.0]])


@pytest.mark.parametrize("engine", ["native", "interp"])
@pytest.mark.parametrize("memory", ["pool", "scoped", "persistent"])
def test_modes_give_the_same(engine, memory):
    backend = pelton.gt4py.make_backend(engine=engine, memory=memory)
    assert (memory == "pool") == (memory not in backend.name)
    for _ in range(3):
        assert np.array_equal(call(backend), EXPECTED)


def needed(backend):
    fields = [view_field([K], np.zeros(LEVELS)) for _ in range(2)]
    bytes = pelton.gt4py.memory_needed(program.with_backend(backend), *fields, offset_provider={})
    assert not any(field.asnumpy().any() for field in fields)
    return bytes


@pytest.mark.parametrize("engine", ["native", "interp"])
def test_memory_of_the_caller(engine):
    bytes = needed(pelton.gt4py.make_backend(engine=engine))
    assert LEVELS * 8 <= bytes < 2 * LEVELS * 8
    array = np.zeros(bytes, dtype=np.uint8)
    workspace = pelton.Workspace(array)
    backend = pelton.gt4py.make_backend(engine=engine, memory=workspace)
    for _ in range(3):
        assert np.array_equal(call(backend), EXPECTED)
    assert array.any(), "temporaries lie in the array"
    seen = workspace.statistics()
    assert seen["calls"] >= 3 and seen["growths"] == 0 and seen["leased"] == 0
    assert bytes - 64 < workspace.fixed_bytes <= bytes
    assert seen["peak"] == seen["held"] == workspace.fixed_bytes


def test_too_little_is_refused_before_anything_is_written():
    bytes = needed(pelton.gt4py.cpu)
    # An address on a cache line, so that nothing is skipped.
    array = np.zeros(bytes + 64, dtype=np.uint8)
    start = -array.ctypes.data % 64
    backend = pelton.gt4py.make_backend(memory=array[start : start + bytes - 128])
    out = np.full(LEVELS, -1.0)
    with pytest.raises(pelton.PeltonError, match="P0751"):
        program.with_backend(backend)(view_field([K], np.ones(LEVELS)), view_field([K], out), offset_provider={})
    assert np.all(out == -1.0)


def test_threads_share_memory_of_the_caller():
    array = np.zeros(needed(pelton.gt4py.cpu), dtype=np.uint8)
    ready = program.with_backend(pelton.gt4py.make_backend(memory=array))
    failures = []

    def work(number):
        for _ in range(20):
            out = np.full(LEVELS, -1.0)
            ready(view_field([K], np.full(LEVELS, float(number))), view_field([K], out), offset_provider={})
            if not np.all(out[1:-1] == 2.0 * number):
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_program_without_temporaries_needs_nothing():
    @gtx.field_operator
    def twice(a: KField) -> KField:
        return a + a

    fields = [view_field([K], np.zeros(LEVELS)) for _ in range(2)]
    twice = twice.with_backend(pelton.gt4py.cpu)
    assert pelton.gt4py.memory_needed(twice, fields[0], out=fields[1], offset_provider={}) == 0


def test_what_is_no_memory():
    frozen = np.zeros(64, dtype=np.uint8)
    frozen.flags.writeable = False
    for array in (frozen, np.zeros(128, dtype=np.uint8)[::2], np.zeros(0, dtype=np.uint8), "bytes"):
        with pytest.raises((pelton.PeltonError, ValueError)):
            pelton.gt4py.make_backend(memory=array)
    with pytest.raises(TypeError):
        pelton.gt4py.memory_needed(program, offset_provider={})
