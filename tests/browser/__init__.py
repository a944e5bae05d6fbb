"""The annotator's page in a real browser."""
