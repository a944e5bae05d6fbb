"""Photos, sound and hostile, made in the test that needs them."""
