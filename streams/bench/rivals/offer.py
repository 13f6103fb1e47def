"""What every rival keeps of an offer, and how it says how fast it was."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, NoReturn

TOPICS = ("orders", "clicks", "competitor-prices", "inventory")

Offer = dict[str, int]


def new_offer() -> Offer:
    """Nothing is known yet."""
    return {"orders": 0, "units": 0, "revenue": 0, "impressions": 0, "observations": 0, "rival": 0, "on_hand": 0}


def add(offer: Offer, topic: str, event: dict[str, Any]) -> Offer:
    """Count one event of a topic (its short name) in."""
    if topic == "clicks":
        offer["impressions"] += event["count"]
    elif topic == "orders":
        offer["orders"] += 1
        offer["units"] += event["quantity"]
        offer["revenue"] += event["line_total"]
    elif topic == "competitor-prices":
        offer["observations"] += 1
        offer["rival"] = event["price"]
    else:
        offer["on_hand"] = event["on_hand"]
    return offer


def end_with(rate: float) -> NoReturn:
    """End the process with its figure on a line of stdout: winding up is not part of it."""
    # Faust redirects stdout, and draws on the line that it left
    print(f"\n{json.dumps({'per_s': rate})}", file=sys.__stdout__, flush=True)
    os._exit(0)


class Finish:
    """Ends the process after so many events, with the rate from the first to the last on stdout."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._seen = 0
        self._began = 0.0

    def seen(self) -> None:
        """One event has been counted in."""
        if self._seen == 0:
            self._began = time.perf_counter()
        self._seen += 1
        if self._seen == self._events:
            end_with((self._seen - 1) / (time.perf_counter() - self._began))
