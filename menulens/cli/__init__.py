"""The `menulens` command: the same verbs on the local cloud and in an account."""
