"""A client of the Docker engine: its HTTP API over a Unix socket, with the standard library alone (decision 0010)."""
