"""``make colour``: colours and geometry beside independent decoders."""
