"""A person's side of the labeling portal without a browser: for scripted annotators, tests and commands."""
