"""Delivery decisions: profile views, relations, the table look-up, rate limits and signed URLs."""
