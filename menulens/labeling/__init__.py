"""Labeling jobs: which photos to ask for, where the answers are, how chained jobs merge."""
