"""A catalogue that was restored from a backup: how it is noticed, and how it comes to agree with everything else."""
