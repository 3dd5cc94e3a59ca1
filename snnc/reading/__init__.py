"""From a file as exporters write them to a model that the passes read: `structured`, and questions about its inputs."""

from snnc.reading.structure import structured

__all__ = ["structured"]
