"""The data plane: one process in front of services and models.

It reads one immutable snapshot compiled from the app file and survives the loss of everything else. Nothing here
imports the control plane or a cloud SDK.
"""
