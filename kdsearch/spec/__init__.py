"""What the user declares: models, search spaces, loading with exact places of errors."""
