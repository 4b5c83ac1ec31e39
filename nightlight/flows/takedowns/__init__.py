"""Takedown notices: every copy of a picture is found and hidden, and stays so while the notice stands."""
