"""A soak: one gateway process under mixed traffic, looked at again and again while nothing is under way."""
