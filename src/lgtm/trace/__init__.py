"""Where a result or a sample comes from."""
