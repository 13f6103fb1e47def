"""Settings of the outcomes, the learner and the promoter."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streams.breaker.settings import BreakerSettings


class LearningSettings(BreakerSettings):
    """Part of `streams.settings.Settings`. Names end in their unit: ``_s`` seconds, mostly of event time."""

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
    learner_capacity: Annotated[
        int, Field(ge=1024, le=4_194_304, description="Transitions that the learner remembers: about 1.5 KB each.")
    ] = 65_536
    learner_candidate_every: Annotated[
        int, Field(ge=64, le=1_000_000_000, description="The learner writes a candidate model after so many of them.")
    ] = 20_000
    learner_checkpoint_s: Annotated[
        float, Field(gt=0, le=3600, description="The learner makes what it has learned durable at least this often.")
    ] = 10.0
    promoter_shadow_s: Annotated[
        int,
        Field(
            ge=0,
            le=2_592_000,
            description="So long a candidate decides silently before the gate is asked, and at least 1,000 times.",
        ),
    ] = 86_400
    promoter_window_s: Annotated[
        int, Field(ge=3600, le=31_536_000, description="So far back the promoter asks the gate to look.")
    ] = 1_209_600
