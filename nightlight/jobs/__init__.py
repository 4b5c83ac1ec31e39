"""Background jobs: their kinds and lanes, how they are queued, published and run."""
