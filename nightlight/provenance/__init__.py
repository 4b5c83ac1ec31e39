"""C2PA provenance: what a rendition says of itself, signed; and whether a copy still says it."""
