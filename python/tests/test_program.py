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
