"""From librdkafka's messages in memory to columns: the loop over them, compiled.

The layout is that of ``rd_kafka_message_t`` in ``rdkafka.h``, part of the library's promised binary interface. A
test compares it with what ctypes makes of the same declaration.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from schemas.binary import NULL, Bytes, Int64
from schemas.compiled import kernel

CODE, TOPIC, PARTITION, VALUE, VALUE_LENGTH, KEY, KEY_LENGTH, OFFSET = 0, 8, 16, 24, 32, 40, 48, 56
"""Where the members of a message lie; ``int32`` the first and the third, all others of 8 bytes."""


@kernel
def measure(addresses: Int64, code: Int64, topic: Int64, partition: Int64, offset: Int64) -> int:
    """Read the heads of n messages.

    Args:
        addresses: [n].
        code: [n], written: 0 of a record, else the error or the event.
        topic: [n], written: address of the topic's handle; 0 of an event of the whole client.
        partition: [n], written.
        offset: [n], written.

    Returns:
        Bytes of all keys and values together.
    """
    size = 0
    for i in range(len(addresses)):
        at = addresses[i]
        code[i], topic[i], partition[i], offset[i] = (
            read_int32(at + CODE),
            read_int64(at + TOPIC),
            read_int32(at + PARTITION),
            read_int64(at + OFFSET),
        )
        if code[i] == 0:
            size += read_int64(at + KEY_LENGTH) + read_int64(at + VALUE_LENGTH)
    return size


@kernel
def unpack(
    addresses: Int64,
    destroy: int,
    data: Bytes,
    key_start: Int64,
    key_length: Int64,
    value_start: Int64,
    value_length: Int64,
) -> None:
    """Copy keys and values of n messages into ``data``, and give the messages back to the library.

    Args:
        addresses: [n].
        destroy: Address of ``rd_kafka_message_destroy``.
        data: As long as `measure` has said, written.
        key_start: [n], written; as are the three that follow. Of an event both lengths are `NULL`.
        key_length: `NULL` where there is no key.
        value_start: Where the value begins.
        value_length: `NULL` where there is no value.
    """
    at = 0
    for i in range(len(addresses)):
        message = addresses[i]
        for is_value in range(2):
            source, length = read_int64(message + KEY), read_int64(message + KEY_LENGTH)
            if is_value:
                source, length = read_int64(message + VALUE), read_int64(message + VALUE_LENGTH)
            if source == 0 or read_int32(message + CODE) != 0:
                length = NULL
            if is_value:
                value_start[i], value_length[i] = at, length
            else:
                key_start[i], key_length[i] = at, length
            if length > 0:
                _copy(data, at, source, length)
                at += length
        _call(destroy, message)


def _load(bits: int) -> Any:
    """Make a function that reads a signed integer at an address."""

    @intrinsic
    def load(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            return builder.sext(builder.load(pointer), ir.IntType(64)) if bits < 64 else builder.load(pointer)

        return types.int64(types.int64), generate

    return load


read_int32, read_int64 = _load(32), _load(64)


@intrinsic
def _copy(_: Any, data: Any, at: Any, source: Any, length: Any) -> Any:
    """Copy ``length`` bytes from an address into an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        target = builder.gep(array.data, [arguments[1]])
        cgutils.raw_memcpy(builder, target, builder.inttoptr(arguments[2], target.type), arguments[3], 1)
        return context.get_dummy_value()

    return types.void(data, types.int64, types.int64, types.int64), generate


@intrinsic
def _call(_: Any, function: Any, argument: Any) -> Any:
    """Call a C function that takes a pointer and returns nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        called = builder.inttoptr(arguments[0], kind.as_pointer())
        builder.call(called, [builder.inttoptr(arguments[1], ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
