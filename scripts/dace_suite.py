"""A pytest plugin: what DaCe's tests would compile with a C++ compiler runs on Pelton instead.

`PELTON_ENGINE` names the engine (`native` by default), `PELTON_KEEP` a folder that gets every program. The report at the end
counts the tests that ran a program on Pelton, and lists those that then failed. ``scripts/dace-tests`` calls this.
"""

import copy
import os
import shutil
import tempfile

import dace
import numpy as np
import pelton
import pytest
from dace.codegen.compiled_sdfg import CompiledSDFG

ENGINE = os.environ.get("PELTON_ENGINE", "native")
KEEP = os.environ.get("PELTON_KEEP")
ran: set[str] = set()
failed: dict[str, str] = {}
current = ""


class _NoLibrary:
    """In place of the shared library that `CompiledSDFG` loads."""

    def load(self):
        pass

    def unload(self):
        pass

    def get_symbol(self, name, restype=None):
        def missing(*_):
            pytest.skip(f"calls the library's {name}, and there is none")

        return missing


class OnPelton(CompiledSDFG):
    """A program made ready by Pelton that is called like one that DaCe compiled."""

    def __init__(self, sdfg: dace.SDFG):
        super().__init__(sdfg, _NoLibrary(), sdfg.arg_names)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program.sdfgz")
            sdfg.save(path, compress=True)
            if KEEP:
                test = current.rsplit("::", 1)[-1].replace("/", "_")
                shutil.copy(path, os.path.join(KEEP, f"{test}_{len(os.listdir(KEEP))}.sdfgz"))
            ran.add(current)
            self._program = pelton.Program(path, engine=ENGINE)

    def __call__(self, *args, **kwargs):
        kwargs.update(zip(self.argnames or (), args))
        self.construct_arguments(**kwargs)  # DaCe's own checks; makes the arrays that are returned
        kwargs.update((shape[0], array) for shape, array in zip(self._retarray_shapes, self._return_arrays))
        self._program(**{name: self._argument(name, kwargs[name]) for name in self._sig})
        return self.convert_return_values()

    def _argument(self, name, value):
        if isinstance(value, list):
            return np.array(value, self._typedict[name].dtype.as_numpy_dtype())
        return value

    safe_call = __call__


def _compile(self, output_file=None, validate=True, return_program_handle=True):
    if validate:
        self.validate()
    sdfg = copy.deepcopy(self)
    return OnPelton(sdfg) if return_program_handle else None


dace.SDFG.compile = _compile


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    global current
    current = item.nodeid
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and item.nodeid in ran:
        error = call.excinfo.value
        failed[item.nodeid] = f"{type(error).__name__}: {str(error).strip()[:300]}"


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    write(f"ran on Pelton ({ENGINE}): {len(ran)} tests, of which {len(failed)} failed")
    for test, why in failed.items():
        write(f"  {test}\n      " + why.replace("\n", "\n      "))
