"""Find the smallest student that matches its teacher on a domain, with confidence."""

__version__ = "0.1.0"
