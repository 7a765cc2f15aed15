"""Records passed by reference: `reference(record).field` in a compiled function is the record's field.

Numba passes a named tuple of arrays as one argument for each pointer, length and stride, some hundred of them, to every
function it is handed to, and most of the time of a compilation went there. A reference is one pointer, to a copy on the
stack, which LLVM takes apart again once the functions are one. What is read through it is not counted as a reference: the
caller keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model


class Reference(types.Type):
    """Numba's type of a reference to a named tuple."""

    def __init__(self, record: types.NamedTuple) -> None:
        self.record = record
        super().__init__(name=f"Reference({record})")

    @property
    def key(self) -> types.NamedTuple:
        return self.record


@register_model(Reference)
class _ReferenceModel(models.PrimitiveModel):
    def __init__(self, manager: Any, reference: Reference) -> None:
        super().__init__(manager, reference, manager.lookup(reference.record).get_value_type().as_pointer())


def _copy(context, builder, record, fields):
    """A copy of a record on the stack. Numba counts no references to arrays that belong to nobody."""
    place = cgutils.alloca_once(builder, context.get_value_type(record))
    for n, (field, value) in enumerate(zip(record, fields, strict=True)):
        if isinstance(field, types.Array):
            array = context.make_array(field)(context, builder, value)
            array.meminfo = cgutils.get_null_value(array.meminfo.type)
            value = array._getvalue()
        builder.store(value, cgutils.gep_inbounds(builder, place, 0, n))
    return place


@intrinsic
def reference(typing, record):
    """A reference to a named tuple, good until the function that makes it returns."""

    def build(context, builder, signature, arguments):
        fields = [builder.extract_value(arguments[0], n) for n in range(len(record))]
        return _copy(context, builder, record, fields)

    return Reference(record)(record), build


@intrinsic
def own(typing, reference):
    """A reference to a copy of what another one refers to: nobody else sees it, so its fields may stay in registers."""

    def build(context, builder, signature, arguments):
        places = [cgutils.gep_inbounds(builder, arguments[0], 0, n) for n in range(len(reference.record))]
        return _copy(context, builder, reference.record, [builder.load(place) for place in places])

    return reference(reference), build


@infer_getattr
class _ReferenceAttribute(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference, name):
        record = reference.record
        return record.types[record.fields.index(name)] if name in record.fields else None


@lower_getattr_generic(Reference)
def _field(context, builder, reference, value, name):
    return builder.load(cgutils.gep_inbounds(builder, value, 0, reference.record.fields.index(name)))
