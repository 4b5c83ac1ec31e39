"""The HTTP service: a route checks its input, calls one flow and shapes the answer."""
