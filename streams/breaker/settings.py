"""Settings of the breaker: how much may change within five minutes of event time before price changes stop."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

Share = Annotated[int, Field(ge=0, le=10_000)]


class BreakerSettings(BaseSettings):
    """Part of `streams.settings.Settings`. Names end in their unit: ``_bp`` basis points."""

    breaker_changed_bp: Annotated[
        Share, Field(description="Share of a shard's offers that may move notably within five minutes.")
    ] = 5_000
    breaker_routine_move_bp: Annotated[
        Share, Field(description="Moves up to this are routine: they do not count in that share.")
    ] = 600
    breaker_mean_move_bp: Annotated[
        Share, Field(description="Mean move over all offers of a shard, those that stay included, within five minutes.")
    ] = 500
    breaker_max_move_bp: Annotated[
        int, Field(ge=0, le=1_000_000, description="Largest move, but for a tenth of breaker_least.")
    ] = 5_000
    breaker_one_price_bp: Annotated[
        Share, Field(description="Share of a shard's changes that may go to one price, unless as many came from one.")
    ] = 5_000
    breaker_rejected_bp: Annotated[
        Share, Field(description="Share of the catalog's answers that may be rejections, within five minutes.")
    ] = 5_000
    breaker_anomalous_bp: Annotated[
        Share, Field(description="Share of the model's answers that may be no number or a forbidden price.")
    ] = 2_000
    breaker_least: Annotated[
        int, Field(ge=1, le=1_000_000, description="Of fewer changes or answers the breaker concludes nothing.")
    ] = 100
    breaker_silent_ticks: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="A feed that was busy may say nothing for so many ticks; 0: for ever."),
    ] = 120
    breaker_fleet_bp: Annotated[
        Share, Field(description="All shards together may do this share of what a shard may, each share counted so.")
    ] = 8_000
