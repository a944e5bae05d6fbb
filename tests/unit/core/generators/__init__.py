"""Makers of manifests, lines and rules for the tests of the core."""
