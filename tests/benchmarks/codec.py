"""What the codec adds to bare decoding: ``python -m tests.benchmarks.codec [RECORDS_PER_BATCH]``.

Both are run in turn, so that what else the machine does meets both.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

import msgspec

from schemas.binary import BinaryArray
from schemas.codec import decoder_for, encode
from schemas.events import OrderRecorded
from schemas.examples import NOW, ORDER
from schemas.timestamps import format_ms
from schemas.topics import ORDERS, offer_key

ROUNDS = 1000


def batch(size: int) -> tuple[list[bytes | None], list[bytes | None]]:
    """Keys and values of orders of ten thousand offers."""
    chance = random.Random(1)
    orders = [
        msgspec.structs.replace(
            ORDER,
            event_id=f"evt-{chance.getrandbits(64):016x}",
            sku=f"SKU-{chance.randrange(10_000):05d}",
            quantity=chance.randrange(1, 5),
            line_total=chance.randrange(100, 10_000),
            occurred_at=format_ms(NOW + chance.randrange(3_000_000)),
        )
        for _ in range(size)
    ]
    return [offer_key(order.channel, order.sku) for order in orders], [encode(order) for order in orders]


def main(size: int) -> None:
    """Print the median microseconds per event of both, and the median of their ratios."""
    keys, values = batch(size)
    key_column, value_column = BinaryArray.of(keys), BinaryArray.of(values)  # as the data plane delivers them
    decode_list = msgspec.json.Decoder(list[OrderRecorded]).decode
    codec = decoder_for(ORDERS)
    bare, full = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        decode_list(b"[" + b",".join(values) + b"]")
        between = time.perf_counter()
        codec(key_column, value_column, NOW)
        full.append(time.perf_counter() - between)
        bare.append(between - began)
    ratio = statistics.median(f / b for f, b in zip(full, bare, strict=True))
    micros = [statistics.median(times) / size * 1e6 for times in (bare, full)]
    sys.stdout.write(f"{size} orders: bare {micros[0]:.3f} us, codec {micros[1]:.3f} us, ratio {ratio:.2f}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
