"""How a search decides: pure Python, without torch and without a cluster."""
