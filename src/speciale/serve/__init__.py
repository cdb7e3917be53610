"""What people and programs talk to: for now, the terminal."""
