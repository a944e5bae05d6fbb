"""What is imported by everything and imports nothing of ours: standard library, and numpy in the cleaning."""
