"""What is checked of the examples of a domain: their form, near-duplicates, equal loads."""
