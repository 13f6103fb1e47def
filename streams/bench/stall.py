"""How long an event loop stands still while a thread verifies models, one after the other; a worker verifies one."""

from __future__ import annotations

import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor

from pricing_core.golden import GoldenBatch
from pricing_core.model_file import read_model, verified


def longest_stalls(seconds: float) -> dict[str, float]:
    """Longest time between two turns of a loop that does nothing else, ms: alone, and beside the thread."""
    weights, manifest = read_model()
    golden = GoldenBatch(verified(weights, manifest))
    gc.freeze()  # as the worker does
    verifications = [0]

    def verify() -> None:
        golden.judge(verified(weights, manifest))
        verifications[0] += 1

    async def longest(*, beside: bool) -> float:
        loop, found = asyncio.get_running_loop(), 0.0
        with ThreadPoolExecutor(1) as thread:
            until, job, last = loop.time() + seconds, None, time.perf_counter()
            while loop.time() < until:
                if beside and (job is None or job.done()):
                    job = loop.run_in_executor(thread, verify)
                await asyncio.sleep(0)
                last, before = time.perf_counter(), last
                found = max(found, last - before)
        return 1000.0 * found

    alone, ours = asyncio.run(longest(beside=False)), asyncio.run(longest(beside=True))
    return {"stall_alone_ms": round(alone, 1), "stall_ms": round(ours, 1), "verifications": verifications[0]}
