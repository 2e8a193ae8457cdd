"""Program files called from Python."""

import numpy as np
import pytest

import pelton

AXPY = """\
program axpy(a: f64, x: f64[N], y: f64[N], N: i64 symbol) {
  map i in 0:N {
    tasklet add (a <- a, x <- x[i], y <- y[i]) -> (r -> y[i]) {
      | r = a * x + y
    }
  }
}
"""


@pytest.mark.parametrize("options", [{}, {"engine": "interp"}, {"mode": "fast", "threads": 2}, {"checked": True}])
def test_a_file_runs(tmp_path, options):
    path = tmp_path / "axpy.pel"
    path.write_text(AXPY)
    x, y = np.arange(5.0), np.ones(5)
    pelton.Program(str(path), **options)(a=2.0, x=x, y=y, N=5)
    np.testing.assert_array_equal(y, 2.0 * x + 1.0)


class Index:
    def __index__(self):
        return 5


class Float:
    def __float__(self):
        return 2.0


def test_whatever_converts_itself_is_a_number(tmp_path):
    path = tmp_path / "axpy.pel"
    path.write_text(AXPY)
    x, y = np.arange(5.0), np.ones(5)
    pelton.Program(str(path))(a=Float(), x=x, y=y, N=Index())
    np.testing.assert_array_equal(y, 2.0 * x + 1.0)


def test_none_is_not_given(tmp_path):
    path = tmp_path / "axpy.pel"
    path.write_text(AXPY)
    with pytest.raises(pelton.PeltonError, match="`y`"):
        pelton.Program(str(path))(a=2.0, x=np.ones(5), y=None, N=5)


def test_an_unknown_mode_is_refused(tmp_path):
    path = tmp_path / "axpy.pel"
    path.write_text(AXPY)
    with pytest.raises(ValueError, match="no mode is called hasty"):
        pelton.Program(str(path), mode="hasty")


KINDS = {"bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
         "uint32": "u32", "uint64": "u64", "float16": "f16", "float32": "f32", "float64": "f64", "complex64": "c64",
         "complex128": "c128", "longlong": "i64", "ulonglong": "u64"}


def copying(tmp_path, kind):
    path = tmp_path / "copying.pel"
    path.write_text(f"program copying(x: {kind}[N], y: {kind}[N], N: i64 symbol) {{\n  copy x[0:N] -> y[0:N]\n}}\n")
    return pelton.Program(str(path))


@pytest.mark.parametrize("name", KINDS)
def test_every_element_type_is_told(tmp_path, name):
    x, y = np.arange(5).astype(name), np.zeros(5, name)
    copying(tmp_path, KINDS[name])(x=x, y=y, N=5)
    np.testing.assert_array_equal(x, y)
    other = "float64" if name == "float32" else "float32"
    with pytest.raises(pelton.PeltonError, match="`x`"):
        copying(tmp_path, KINDS[name])(x=x.astype(other), y=y, N=5)


def test_element_types_that_are_none_are_refused(tmp_path):
    y = np.zeros(5)
    for x in (np.zeros(5, "datetime64[s]"), np.zeros(5, "S8"), np.zeros(5, [("a", "f8")]), np.zeros(5, np.longdouble)):
        with pytest.raises(pelton.PeltonError, match="`x` has element type"):
            copying(tmp_path, "f64")(x=x, y=y, N=5)
    with pytest.raises(pelton.PeltonError, match="foreign order"):
        copying(tmp_path, "f64")(x=np.arange(5.0).astype(">f8"), y=y, N=5)
