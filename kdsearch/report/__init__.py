"""What a run says to a person: progress while it runs, tables when it is done.

Reads events and summaries; knows nothing of models, Ray or the command line.
"""
