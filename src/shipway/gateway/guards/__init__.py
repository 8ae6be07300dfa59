"""Guards: hooks that see what models are asked and what they answer. What a guard's function needs is here:

from shipway.gateway.guards import ALLOW, Check, Verdict, refuse

def check(asked: Check) -> Verdict:
    if any("password" in piece.text for piece in asked.texts):
        return refuse("secret", "Please leave passwords out.")
    return ALLOW
"""

from shipway.gateway.guards.check import ALLOW, Check, Piece, Verdict, refuse

__all__ = ["ALLOW", "Check", "Piece", "Verdict", "refuse"]
