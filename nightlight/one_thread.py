"""One thread for numpy's linear algebra, as an effect of importing this module; every entry point begins with it.

OpenBLAS reads the variables when numpy is imported, and starts as many threads as there are cores. Those of several
processes then wait for each other: two workers on two cores did two thirds of the work of one. What an operator sets
holds.
"""

from __future__ import annotations

import os

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

for _name in VARIABLES:
    os.environ.setdefault(_name, "1")
