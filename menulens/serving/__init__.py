"""The endpoint: what a deployment is made of, and whether it answers as it should."""
