"""Teachers, students, signals, losses and training; knows nothing of searches or of Ray."""
