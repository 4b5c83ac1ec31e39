"""C2PA provenance: signed manifests of renditions, and their verification."""
