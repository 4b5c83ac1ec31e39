"""Background workers: a task checks its message, calls one flow and reports how it ended."""
