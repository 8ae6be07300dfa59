"""The target `docker`."""

from shipway.deploy.targets.docker.target import DockerTarget

__all__ = ["DockerTarget"]
