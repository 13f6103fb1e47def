"""Before a model prices anything it must decide a fixed batch: finite values, legal choices, nothing compiled."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from pricing_core import golden
from pricing_core.golden import GoldenBatch, ModelUnfit, differing
from tests.pricing_core.engines import MODEL


@pytest.fixture(scope="module")
def batch():
    return GoldenBatch(MODEL)


def scaled(factor):
    return replace(MODEL, params=jax.tree.map(lambda weights: weights * factor, MODEL.params))


def test_the_shipped_model_decides_it_the_same_each_time_and_another_otherwise(batch):
    one = batch.judge(MODEL)

    assert len(one) == golden.OFFERS
    assert len(set(one.chosen.tolist())) > 3
    assert differing(one, batch.judge(MODEL)) == 0
    assert differing(one, batch.judge(scaled(-1.0))) > 0


@pytest.mark.parametrize("factor", [1e30, jnp.nan, jnp.inf])
def test_a_model_whose_values_are_no_numbers_is_unfit(batch, factor):
    with pytest.raises(ModelUnfit, match="no numbers"):
        batch.judge(scaled(factor))
    batch.judge(MODEL)


def test_a_model_that_would_be_compiled_for_is_unfit(batch):
    layer = MODEL.params["offer"]
    weak = replace(MODEL, params=MODEL.params | {"offer": layer | {"bias": layer["bias"].astype(jnp.float16)}})
    with pytest.raises(ModelUnfit, match="compiled"):
        batch.judge(weak)
