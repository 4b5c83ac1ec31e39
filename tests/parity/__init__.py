"""Can an outsider tell who is a minor? Four ways of trying; ``make parity`` and ``make parity-over-time`` run them, CI small ones."""

from nightlight import one_thread  # noqa: F401 - before numpy and scikit-learn are imported
