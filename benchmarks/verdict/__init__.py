"""Operating characteristics of verdicts, from simulated rollouts with fixed seeds."""
