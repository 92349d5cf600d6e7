"""Runs jobs on Ray: the only code that imports it."""
