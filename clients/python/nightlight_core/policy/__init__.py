"""The policy as it is looked up: the table, the recipe of a tier, and the reader of signed bundles."""
