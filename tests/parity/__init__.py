"""Can an outsider tell who is a minor? Four ways of trying; ``make parity`` and ``make parity-over-time`` run them, CI small ones."""

import os

# As a worker has them: numpy's own threads, and scikit-learn's, would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
