"""Fakes and small servers that tests of Shipway, and of apps built on it, can use instead of mocks.

Each is a real thing on a real socket that can be told to misbehave; none imports the part that it stands in for.
"""
