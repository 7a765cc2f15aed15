"""The fast engine: event-driven compiled kernels, threads over samples."""

from .engine import FastEngine

__all__ = ["FastEngine"]
