"""The control plane: makes releases of an app, brings them to where an environment runs, and moves traffic to them.

Decisions are pure (`plan`, `front`, `rollout`), effects are at the edge (`targets`, `gateway_admin`, `state`). It never
imports the gateway: what it wants of it, it asks over the admin API.
"""
