"""Lets `python -m kdsearch` do what `kdsearch` does."""

from kdsearch.cli import main

if __name__ == "__main__":
    main(prog_name="kdsearch")
