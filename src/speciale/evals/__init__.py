"""What a run came to: its results, plots and report, and the command that goes all the way."""
