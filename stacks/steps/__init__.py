"""One file per step: its function, its permissions, its state."""
