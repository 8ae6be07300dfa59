"""The gateway beside others that do the same, in turn, on one core each."""
