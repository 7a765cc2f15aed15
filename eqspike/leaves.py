"""Classes of settings made of leaves: a section holds the settings of the leaf that it names."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from pydantic import create_model

from .reading import about
from .registry import Registry
from .settings import Part

Whole = TypeVar("Whole", bound=Part)


@lru_cache(maxsize=256)
def composed(registry: Registry[Any], section: str, names: tuple[str, ...]) -> type[Part]:
    """A section with the settings of each of these leaves, by name."""
    fields: dict[str, Any] = {}
    for name in names:
        with about(section):
            part = registry[name].Settings
        fields[name] = (part, part())
    return create_model("Composed", __base__=Part, **fields)


class _Mixed(Part):
    """Settings of a leaf and of the section that it stands in, together; pickled by what they are made of."""

    parts: ClassVar[tuple[type[Part], type[Part]]]

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[Any, ...]]:
        return _restored, (*self.parts, self.model_dump())


@lru_cache(maxsize=256)
def mixed(part: type[Part], other: type[Part] | None) -> type[Part]:
    """The settings of a leaf with those of its section (None: it has none of its own)."""
    if other is None:
        return part
    create: Any = create_model  # which has no type for several bases
    both: type[_Mixed] = create(part.__name__, __base__=(_Mixed, part, other), __doc__=part.__doc__)
    both.parts = part, other
    return both


def _restored(part: type[Part], other: type[Part], values: dict[str, Any]) -> Part:
    return mixed(part, other).model_validate(values)


@lru_cache(maxsize=256)
def with_leaves(base: type[Whole], chosen: tuple[tuple[str, type[Part]], ...]) -> type[Whole]:
    """The class `base` with these sections."""
    fields: dict[str, Any] = {section: (part, part()) for section, part in chosen}
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)
