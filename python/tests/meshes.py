"""Dimensions, fields and a small mesh that the tests share."""

import gt4py.next as gtx
import numpy as np
from gt4py.next import common

Cell = gtx.Dimension("Cell")
Edge = gtx.Dimension("Edge")
C2EDim = gtx.Dimension("C2E", kind=gtx.DimensionKind.LOCAL)
K = gtx.Dimension("K", kind=gtx.DimensionKind.VERTICAL)
I = gtx.Dimension("I")
J = gtx.Dimension("J")
C2E = gtx.FieldOffset("C2E", source=Edge, target=(Cell, C2EDim))

CellK = gtx.Field[[Cell, K], gtx.float64]
EdgeK = gtx.Field[[Edge, K], gtx.float64]
IField = gtx.Field[[I], gtx.float64]

CELLS, EDGES, LEVELS = 6, 9, 5


def connectivity(rows=None, skip_value=None, dtype=np.int32):
    """Each cell with its three edges."""
    if rows is None:
        rows = [[cell, (cell + 1) % EDGES, (2 * cell + 3) % EDGES] for cell in range(CELLS)]
    rows = np.asarray(rows, dtype=dtype)
    return gtx.as_connectivity(
        domain={Cell: rows.shape[0], C2EDim: rows.shape[1]}, codomain=Edge, data=rows, skip_value=skip_value
    )


def view_field(dims, array):
    """A field over an array that is not copied, as icon4py makes them from ICON's Fortran memory."""
    domain = common.domain({dim: (0, extent) for dim, extent in zip(dims, array.shape)})
    return common._field(array, domain=domain)
