"""Makes channels of a copy of `small` odd, with python-casacore: patch_ms.py COPY

    9   flagged altogether
    11  flagged but for its 3 % shortest baselines
    13  nothing but noise, as strong as the set's own (the difference of neighbours where there is no line)
"""

import sys

import numpy as np
from casacore.tables import table

with table(sys.argv[1], readonly=False, ack=False) as ms:
    flag = ms.getcol("FLAG")
    data = ms.getcol("CORRECTED_DATA")
    uvw = ms.getcol("UVW")
    flag[:, 9, :] = True
    length = np.hypot(uvw[:, 0], uvw[:, 1])
    flag[length >= np.percentile(length, 3), 11, :] = True
    # Flagged samples hold garbage: the median deviation does not see it.
    steps = np.diff(data[:, 0:4, :], axis=1)[~flag[:, 0:4, :].any(axis=(1, 2))]
    sigma = 1.4826 * np.median(np.abs(steps.real)) / np.sqrt(2)
    rng = np.random.default_rng(1)
    shape = data[:, 13, :].shape
    data[:, 13, :] = sigma * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    ms.putcol("FLAG", flag)
    ms.putcol("CORRECTED_DATA", data)
