"""Serving: the aggregates, for the people who read them. It may never write, nor read raw rows in bulk."""

from usage_pipeline.serving.frames import read

__all__ = ["read"]
