"""Settings of the outcomes and the learner."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streams.breaker.settings import BreakerSettings


class LearningSettings(BreakerSettings):
    """Part of `streams.settings.Settings`. Names end in their unit: ``_s`` seconds of event time."""

    outcome_window_s: Annotated[
        int, Field(ge=60, le=259_200, description="Longest time in which events count to one decision.")
    ] = 86_400
    outcome_lateness_s: Annotated[
        int,
        Field(
            ge=0,
            le=259_200,
            description="How long outcomes wait for late events, cancellations and returns after an interval's end.",
        ),
    ] = 3600
