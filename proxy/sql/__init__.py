"""What a statement does: fingerprint, classification, functions, catalog lineage."""
