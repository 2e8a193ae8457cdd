"""Arrays that stay on the GPU."""

import numpy as np
import pytest

import pelton

STEP = """\
program step(x: f64[N], y: f64[N], N: i64 symbol) {
  map i in 1:N-1 { y[i] = x[i-1] + 2.0 * x[i] + x[i+1] }
  map i in 0:N { x[i] = y[i] * 0.25 }
}
"""


@pytest.fixture
def step(tmp_path):
    path = tmp_path / "step.pel"
    path.write_text(STEP)
    try:
        pelton.synchronize()
    except pelton.PeltonError as error:
        pytest.skip(str(error))
    return lambda engine: pelton.Program(str(path), engine=engine)


def test_elements_come_back_as_the_host_computes_them(step):
    x, y = np.arange(50.0), np.zeros(50)
    device_x, device_y = pelton.DeviceArray(x), pelton.DeviceArray(y)
    host, gpu = step("native"), step("gpu")
    for _ in range(4):
        host(x=x, y=y, N=50)
        gpu(x=device_x, y=device_y, N=50)
    host(x=x, y=y, N=50)
    host(x=device_x, y=device_y, N=50)
    np.testing.assert_array_equal(device_x.download(), x)
    np.testing.assert_array_equal(device_y.download(), y)


def test_what_is_uploaded_counts(step):
    gpu = step("gpu")
    x, y = pelton.DeviceArray(np.ones(8)), pelton.DeviceArray(np.zeros(8))
    gpu(x=x, y=y, N=8)
    x.upload(np.arange(16.0)[::2])
    gpu(x=x, y=y, N=8)
    assert y.download()[3] == 4 * 6.0
    assert (x.shape, x.dtype) == ((8,), np.float64)


def test_misuse_is_refused(step):
    x = pelton.DeviceArray(np.ones(8))
    with pytest.raises(pelton.PeltonError, match="cannot replace"):
        x.upload(np.ones(9))
    with pytest.raises(pelton.PeltonError, match="another argument"):
        step("gpu")(x=x, y=x, N=8)


def test_others_see_the_elements(step):
    x = pelton.DeviceArray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(np.asarray(x), np.arange(6.0).reshape(2, 3))
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.from_dlpack(x), x.download())
    with pytest.raises(ValueError, match="copied"):
        np.array(x, copy=False)
