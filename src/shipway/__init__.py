"""Shipway takes a Python AI application to production and keeps it there.

This package's root holds the version and nothing else, so that importing it costs nothing.
"""

__version__ = "0.1.0.dev0"
