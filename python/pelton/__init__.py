"""Pelton runs dataflow graphs.

- :mod:`pelton.gt4py` is a backend for GT4Py: ``@gtx.program(backend=pelton.gt4py.cpu)``.
- :class:`pelton.Workspace` is memory for temporaries that programs share.
- :class:`pelton.DeviceArray` is an array that stays on the GPU between calls with ``engine="gpu"``.
- :class:`pelton.Program` runs a DaCe ``.sdfg`` file (or a ``.pel`` text) on NumPy arrays.
"""

from pelton._pelton import DeviceArray, PeltonError, Program, Workspace, synchronize, version

__all__ = ["DeviceArray", "PeltonError", "Program", "Workspace", "synchronize", "version"]
__version__ = version()
