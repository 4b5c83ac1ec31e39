"""Pages for the people who decide, rendered here: no script, nothing from elsewhere."""
