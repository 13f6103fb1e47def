"""Copying bytes inside of a kernel: four times as fast as a loop over them."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def copy_bytes(_: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    """Copy ``length`` bytes from ``start`` of one array of bytes to ``at`` of another: in a kernel, by `memcpy`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointers = [
            builder.gep(context.make_array(signature.args[i])(context, builder, arguments[i]).data, [arguments[i + 1]])
            for i in (0, 2)
        ]
        cgutils.raw_memcpy(builder, *pointers, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate
