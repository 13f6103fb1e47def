"""The demand curves: level and elasticity at the list price are what they are said to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand.forms import CONSTANT_ELASTICITY, EXPONENTIAL, FORMS, LINEAR, LOGIT, demand


@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
@pytest.mark.parametrize("elasticity", [0.7, 2.5, 4.0])
def test_every_form_is_one_with_the_given_elasticity_at_the_list_price(form, elasticity):
    level, slope = jax.value_and_grad(demand, argnums=2)(jnp.asarray(form), elasticity, 1.0)
    assert level == pytest.approx(1.0)
    assert -slope == pytest.approx(elasticity, rel=1e-5)


@pytest.mark.parametrize(
    ("form", "ratio", "expected"),
    [
        (EXPONENTIAL, 1.4, np.exp(-1.0)),
        (CONSTANT_ELASTICITY, 1.4, 1.4**-2.5),
        (LINEAR, 1.4, 0.0),
        (LINEAR, 0.6, 2.0),
        (LOGIT, 1.4, 2.0 / (1.0 + np.exp(2.0))),
        (LOGIT, 0.6, 2.0 / (1.0 + np.exp(-2.0))),
    ],
)
def test_the_curves_pass_through_points_computed_by_hand(form, ratio, expected):
    assert demand(jnp.asarray(form), jnp.asarray(2.5), jnp.asarray(ratio)) == pytest.approx(expected, abs=1e-6)


def test_no_form_rises_in_the_price_and_arguments_broadcast():
    ratio = jnp.linspace(0.3, 3.0, 200)
    curves = demand(jnp.arange(len(FORMS))[:, None], jnp.asarray([[2.0]]), ratio[None, :])
    assert curves.shape == (len(FORMS), 200)
    assert (np.diff(curves, axis=1) <= 0).all()
