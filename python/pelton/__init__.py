"""Pelton runs dataflow graphs.

- :mod:`pelton.gt4py` is a backend for GT4Py: ``@gtx.program(backend=pelton.gt4py.cpu)``.
- :class:`pelton.Program` runs a DaCe ``.sdfg`` file (or a ``.pel`` text) on NumPy arrays.
"""

from pelton._pelton import PeltonError, Program, version

__all__ = ["PeltonError", "Program", "version"]
__version__ = version()
