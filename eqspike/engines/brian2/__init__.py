"""The reference engine, in Brian2."""

from .engine import Brian2Engine

__all__ = ["Brian2Engine"]
