"""A pytest plugin that runs GT4Py's own tests with Pelton as their backend.

GT4Py's tests parametrize fixtures and tests by lists of backends. While the tests are collected, each such list
gets Pelton in the place of its backends, with no entry in the table of tests that a backend may skip or fail.
Tests that take no backend are left out. Nothing of GT4Py's files is changed.

``scripts/gt4py-tests`` calls this; by hand: ``pytest -p gt4py_suite --pelton pelton.gt4py.cpu tests/next_tests``.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

_NAME = "pelton.gt4py.cpu"


class _PeltonId(str):
    """Stands where GT4Py's tests have the identifier of a backend."""

    def load(self) -> Any:
        module, _, attribute = _NAME.rpartition(".")
        return getattr(importlib.import_module(module), attribute)

    def short_id(self, num_components: int = 2) -> str:
        return ".".join(_NAME.split(".")[-num_components:])


def _is_backend_id(value: Any) -> bool:
    return type(value).__name__ in ("ProgramBackendId", "OptionalProgramBackendId")


def _with_pelton(params: Any) -> Any:
    """The list with Pelton for its backends, or unchanged if there is no backend in it."""
    if params is None:
        return None
    params = list(params)
    for param in params:
        value = param.values[0] if hasattr(param, "values") and hasattr(param, "marks") else param
        if _is_backend_id(value):
            return [_PeltonId("pelton")]
        if isinstance(value, tuple) and value and _is_backend_id(value[0]):
            return [(_PeltonId("pelton"), *value[1:])]
    return params


_original_fixture = pytest.fixture


def _fixture(*args: Any, **kwargs: Any) -> Any:
    if "params" in kwargs:
        kwargs["params"] = _with_pelton(kwargs["params"])
    return _original_fixture(*args, **kwargs)


pytest.fixture = _fixture


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pelton", default=_NAME, help="the Pelton backend to run, as module.name")


def pytest_configure(config: pytest.Config) -> None:
    global _NAME
    _NAME = config.getoption("--pelton")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    from gt4py.next import backend as gtx_backend

    for mark in metafunc.definition.iter_markers("parametrize"):
        values = mark.args[1] if len(mark.args) > 1 else mark.kwargs.get("argvalues")
        if isinstance(values, list) and any(isinstance(value, gtx_backend.Backend) for value in values):
            values[:] = [_PeltonId("pelton").load()]


def _uses_pelton(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return False
    from gt4py.next import backend as gtx_backend

    for value in callspec.params.values():
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, _PeltonId):
            return True
        if isinstance(first, gtx_backend.Backend) and type(first).__module__.startswith("pelton"):
            return True
    return False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if _uses_pelton(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _uses_pelton(item)])
    items[:] = chosen
