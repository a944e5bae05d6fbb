"""The labeling portal: jobs whose answers are written once, kept for good, and come out as Ground Truth's files."""
