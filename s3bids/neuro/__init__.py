"""NIfTI and JSON read and written straight on storage."""
