"""Paired tests, intervals, power and chance: what figures say, and nothing of searches."""
