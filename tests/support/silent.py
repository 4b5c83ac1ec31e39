"""A helper that starts and says nothing."""

import time

time.sleep(60)
