"""How long things are kept: erasure, legal holds, lifecycle rules, sweeps and tags."""
