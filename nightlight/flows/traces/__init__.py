"""Found copies: where a copy comes from, and the manifest that belongs to it."""
