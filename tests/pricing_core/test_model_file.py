"""A model file is taken whole or refused by name."""

import hashlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core import model_file
from pricing_core.model_file import Training, load_model, save_model
from pricing_core.q_function import init_params

TRAINING = Training(preset="tiny", seed=1, backend="cpu", jax="0", score={})


def save(directory, params):
    return save_model(directory, params, name="m", version=3, epsilon=0.06, training=TRAINING)


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, init_params(jax.random.key(1)))


def edit_manifest(path, **changes):
    manifest = path.with_suffix(".json")
    content = json.loads(manifest.read_bytes())
    content.update({k: v(content[k]) if callable(v) else v for k, v in changes.items()})
    manifest.write_text(json.dumps(content))


def test_what_was_saved_is_loaded(path):
    model = load_model(path)
    assert (model.name, model.version, model.epsilon) == ("m", 3, 0.06)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(
        model.params["trunk_0"]["kernel"], init_params(jax.random.key(1))["trunk_0"]["kernel"]
    )


def test_equal_weights_give_equal_files(path, tmp_path):
    again = save(tmp_path / "again", init_params(jax.random.key(1)))
    assert again.read_bytes() == path.read_bytes()
    assert again.with_suffix(".json").read_bytes() == path.with_suffix(".json").read_bytes()


def test_one_changed_byte_is_refused(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(model_file.HashMismatch, match="SHA-256"):
        load_model(path)


def without_first_feature(made_for):
    return made_for | {"features": made_for["features"][1:]}


def rescaled(made_for):
    first, *others = made_for["candidate_features"]
    return made_for | {"candidate_features": [first | {"scale": 1.0}, *others]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without_first_feature, "features"),
        (rescaled, "candidate features"),
        (lambda f: f | {"moves_bp": [0]}, "moves bp"),
        (lambda f: f | {"half_lives_days": [1.0]}, "half lives days"),
    ],
)
def test_weights_for_other_features_or_moves_are_refused_by_name(path, change, named):
    edit_manifest(path, format=change)
    with pytest.raises(model_file.FormatMismatch, match=named):
        load_model(path)


@pytest.mark.parametrize("epsilon", [-0.1, 1.0])
def test_an_impossible_epsilon_is_refused(path, epsilon):
    edit_manifest(path, epsilon=epsilon)
    with pytest.raises(model_file.FormatMismatch, match="epsilon"):
        load_model(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, bad):
    params = init_params(jax.random.key(1))
    params["offer"]["bias"] = params["offer"]["bias"].at[0].set(bad)
    with pytest.raises(model_file.NonFiniteWeights, match=r"offer\.bias"):
        load_model(save(tmp_path, params))


@pytest.mark.parametrize(
    ("leaf", "why"),
    [(jnp.zeros(3), "another length"), (jnp.zeros(32, jnp.float16), "another type")],
)
def test_weights_of_another_shape_or_type_are_refused(tmp_path, leaf, why):
    params = init_params(jax.random.key(1))
    params["offer"]["bias"] = leaf
    with pytest.raises(model_file.ShapeMismatch, match=r"offer\.bias"):
        load_model(save(tmp_path, params))
    assert why


def test_a_missing_parameter_is_refused(tmp_path):
    params = init_params(jax.random.key(1))
    del params["direct"]
    with pytest.raises(model_file.ShapeMismatch, match=r"direct\.kernel"):
        load_model(save(tmp_path, params))


def test_missing_files_and_files_of_another_kind_are_refused(path, tmp_path):
    with pytest.raises(model_file.ModelUnreadable):
        load_model(tmp_path / "none.safetensors")
    path.write_bytes(b"not tensors")
    edit_manifest(path, sha256=hashlib.sha256(b"not tensors").hexdigest())
    with pytest.raises(model_file.ModelUnreadable, match="safetensors"):
        load_model(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(model_file.ModelUnreadable):
        load_model(path)
