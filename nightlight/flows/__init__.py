"""The verbs: each flow is one way through the house, from its inputs to its answer."""
