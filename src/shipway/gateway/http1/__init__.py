"""HTTP/1.1 on plain asyncio protocols: the listener's side, the upstream's side, and what both say of a message.

This package knows HTTP and nothing of keys, models or routes; `shipway.gateway.proxy` decides what a request means.
"""
