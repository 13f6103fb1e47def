"""From columns to librdkafka's queue: the loop over the records of an output batch, compiled.

Each record is one call of ``rd_kafka_produceva``, whose arguments are an array of ``rd_kafka_vu_t`` (``rdkafka.h``): a
type, and a union of 64 bytes. Only key, value and id differ from record to record; the rest is written once.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from schemas.binary import NULL, Int64
from schemas.compiled import kernel
from streams.transport.raw_messages import CODE, read_int32

Column = tuple[int, Int64, Int64]
"""A `BinaryArray`: address of the buffer, and where each string begins in it and how long it is, [n] each."""

VU_WORDS = 9
"""Words of 8 bytes in an argument."""
RKT, PARTITION, VALUE, KEY, MSGFLAGS, HEADER = 2, 3, 4, 5, 7, 9
"""Types of arguments: of topic handle, partition, value, key, flags and header."""
COPY = 2
"""Flag: the library copies the value, as it does the key and the headers in any case."""
VALUE_AT, KEY_AT, ID_AT = 0, 1, 2
"""Which arguments differ from record to record."""


@kernel
def produce(
    function: int, client: int, arguments: Int64, first: int, keys: Column, values: Column, ids: Column
) -> tuple[int, int]:
    """Hand n records to the library.

    Args:
        function: Address of ``rd_kafka_produceva``.
        client: The producer's handle.
        arguments: [m, `VU_WORDS`] arguments of a call: value, key and, with ids, the id's header
            first. Written.
        first: Row to begin with.
        keys: n.
        values: n.
        ids: n, or none.

    Returns:
        How many rows were taken, and the address of the ``rd_kafka_error_t`` of the one that was not; 0 if all were.
    """
    n = len(keys[1])
    for i in range(first, n):
        _put(arguments, VALUE_AT, 1, values, i)
        _put(arguments, KEY_AT, 1, keys, i)
        if len(ids[1]):
            _put(arguments, ID_AT, 2, ids, i)
        error = _call(function, client, _address(arguments), len(arguments))
        if error:
            return i, error
    return n, 0


@kernel
def first_failed(addresses: Int64) -> int:
    """Row of the first message whose delivery failed; -1 if all were delivered."""
    for i in range(len(addresses)):
        if read_int32(addresses[i] + CODE) != 0:
            return i
    return -1


@kernel
def _put(arguments: Int64, row: int, word: int, column: Column, i: int) -> None:
    """Write address and length of a column's byte string; of a null, no address."""
    address, start, length = column
    is_null = length[i] == NULL
    arguments[row, word] = 0 if is_null else address + start[i]
    arguments[row, word + 1] = 0 if is_null else length[i]


@intrinsic
def _address(_: Any, array: Any) -> Any:
    """Address of an array's first element."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


@intrinsic
def _call(_: Any, function: Any, first: Any, second: Any, third: Any) -> Any:
    """Call a C function of two pointers and a size that returns a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, size = ir.IntType(8).as_pointer(), ir.IntType(64)
        called = builder.inttoptr(arguments[0], ir.FunctionType(pointer, [pointer, pointer, size]).as_pointer())
        given = [builder.inttoptr(argument, pointer) for argument in arguments[1:3]]
        return builder.ptrtoint(builder.call(called, [*given, arguments[3]]), size)

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate
