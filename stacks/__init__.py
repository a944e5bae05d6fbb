"""The stacks: what is deployed, the same to an account and to the local cloud."""
