"""How pictures reach viewers: opaque names, signed URLs, service tokens, the placeholder."""
