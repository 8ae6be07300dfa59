"""The control plane: releases, plans, rollouts and what judges them. Sync, short-lived, and never imports the gateway."""
