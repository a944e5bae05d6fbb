"""Training jobs: what one is given, and whether its model may replace the champion."""
