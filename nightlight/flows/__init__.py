"""The verbs: each flow is one way through the system, from its inputs to its answer."""
