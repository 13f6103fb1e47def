"""The learner without Kafka: rows of transitions, what is on disk, and what is learned."""

import contextlib

import jax
import numpy as np
import pytest
from msgspec.structs import replace

from pricing_core.features import FEATURES, HOLD, MOVES_BP
from pricing_core.learning.logged import demand_of
from pricing_core.learning.recall import Recall
from pricing_core.model_file import load_model
from pricing_core.q_function import q_values
from streams.errors import ConfigurationError
from streams.learner.rows import RowMaker, id_of, obstacle, transitions_of
from streams.learner.store import SEGMENT_ROWS, Checkpoint, Store
from streams.learner.student import ROWS_AN_UPDATE, Student
from tests.pricing_core.engines import MODEL
from tests.streams.outcome_records import joined


@pytest.fixture(scope="module")
def transitions():
    return [one for one in joined(rounds=12) if obstacle(one) is None]


@pytest.fixture(scope="module")
def rows(transitions):
    made, left_out = RowMaker(Recall(MODEL)).rows(transitions)
    assert (len(made), left_out) == (len(transitions), {})
    return made


def test_rows_show_what_the_network_was_shown_when_it_decided(transitions, rows):
    recorded = np.array([one.features for one in transitions], np.float32)

    np.testing.assert_allclose(rows["seen_0"], recorded, atol=1e-5)
    assert rows["seen_0"].shape[1] == len(FEATURES)
    assert (rows["legal"] == np.array([one.legal for one in transitions])).all()
    assert rows["id"].tolist() == [id_of(one.decision_id) for one in transitions]


def test_rows_show_what_followed(transitions, rows):
    by_id = {one.decision_id: row for one, row in zip(transitions, rows, strict=True)}
    one = next(one for one in transitions if one.next is not None and one.next.decision_id in by_id)
    row = by_id[one.decision_id]

    assert row["has_next"]
    np.testing.assert_array_equal(row["next_seen_0"], by_id[one.next.decision_id]["seen_0"])
    gone = one.happened.revenue - 700 * one.happened.units
    assert row["profit"] == pytest.approx(gone / one.previous_price, rel=1e-6)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"prices": None}, "no choice"),
        ({"legal": [False] * len(MOVES_BP)}, "no choice"),
        ({"starts_at": None}, "not acknowledged"),
        ({"acknowledgement": "rejected"}, "another price"),
        ({"inputs": None}, "inputs missing"),
        ({"incomplete": True}, "events expired"),
        ({"rules": 0}, "other rules"),
    ],
)
def test_nothing_is_learned_from_what_is_not_known(transitions, changed, why):
    assert obstacle(replace(transitions[0], **changed)) == why


def test_inputs_that_cannot_be_read_cost_their_own_transition_only(transitions):
    broken = [replace(transitions[0], inputs=b"no inputs"), *transitions[1:5]]
    short = replace(transitions[5], ends_at=transitions[5].starts_at)

    made, left_out = RowMaker(Recall(MODEL)).rows([*broken, short])

    assert (len(made), left_out) == (4, {"inputs unreadable": 1, "too short": 1})


@pytest.fixture
def opened():
    """Opens folders, and closes them after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda folder: stack.enter_context(contextlib.closing(Store(folder, SEGMENT_ROWS)))


def fill(store, rows, **given):
    assert store.load() is None
    store.append(rows)
    store.save(Checkpoint("parent", rows=len(rows), **given))


def test_what_lies_behind_the_checkpoint_is_cut_off(opened, tmp_path, rows):
    store = opened(tmp_path)
    fill(store, rows[:300], taken=400)
    store.append(rows[300:])
    store.close()

    again = opened(tmp_path)

    assert again.load().taken == 400
    np.testing.assert_array_equal(again.recent(), rows[:300])
    again.append(rows[300:310])
    np.testing.assert_array_equal(again.recent(), rows[:310])


def test_a_folder_that_was_never_checkpointed_begins_anew(opened, tmp_path, rows):
    store = opened(tmp_path)
    store.load()
    store.append(rows)
    store.close()

    again = opened(tmp_path)

    assert (again.load(), again.recent()) == (None, None)


def test_the_log_is_as_long_as_what_is_remembered_and_a_segment(opened, tmp_path, rows):
    store = opened(tmp_path)
    fill(store, np.tile(rows, 50)[: 3 * SEGMENT_ROWS + 5])

    assert len(list((tmp_path / "rows").iterdir())) == 2
    assert len(store.recent()) == SEGMENT_ROWS


def test_one_folder_has_one_learner_and_one_kind_of_rows(opened, tmp_path, rows):
    store = opened(tmp_path)
    fill(store, rows)

    with pytest.raises(ConfigurationError, match="another learner"):
        opened(tmp_path)
    with pytest.raises(ConfigurationError, match="other features"):
        store.append(rows[["id", "days"]])


@pytest.fixture(scope="module")
def taught(rows):
    """A student that has seen every transition a hundred times."""
    student = Student(MODEL, 1024, seed=0)
    for _ in range(100):
        student.take(rows)
    student.study()
    return student


def test_the_demand_model_finds_the_elasticity_and_the_rate(taught, rows):
    rate, elasticity = demand_of(taught._learner.demand, rows["seen_0"])

    assert taught.updates == 100 * len(rows) // ROWS_AN_UPDATE // 16 * 16
    assert np.median(rate) == pytest.approx(20.0, rel=0.15)
    assert np.median(elasticity) == pytest.approx(4.0, rel=0.25)


def test_the_q_function_moves_towards_what_the_log_has_shown(taught, rows):
    """Cost 700 of about 1200, an elasticity of 4: the optimum is 933, far below what the parent believes in."""
    seen, legal = transitions_of(rows).seen, rows["legal"]
    parent, learned = (np.asarray(q_values(params, *seen)) for params in (MODEL.params, taught._learner.params))
    lower = legal[:, 0] & legal[:, HOLD]

    gains = [np.mean(q[lower, 0] - q[lower, HOLD]) for q in (parent, learned)]
    assert gains[1] > gains[0]
    assert len(MOVES_BP) == learned.shape[1]


def test_a_student_that_is_restored_goes_on_to_the_same_bits(rows):
    whole, half = Student(MODEL, 1024, seed=3), Student(MODEL, 1024, seed=3)
    for student in (whole, half):
        student.take(np.tile(rows, 3))
        student.study()
    kept = Checkpoint("parent", rows=half.rows, learner=half.written())
    again = Student(MODEL, 1024, seed=3)
    again.restore(kept, np.tile(rows, 3)[-1024:])
    for student in (whole, again):
        student.take(np.tile(rows, 2))
        student.study()

    assert whole.updates == again.updates > half.updates
    assert whole.written() == again.written()


def test_a_candidate_can_be_served_and_names_where_it_comes_from(taught, tmp_path):
    kept = Checkpoint("parent", offsets={1: 90, 0: 50}, begins={0: 0, 1: 7}, taken=130, rows=100)

    path = taught.write_candidate(tmp_path, 2, 17, kept)

    model = load_model(path)
    assert (path.parent, model.name, model.version) == (tmp_path / "2", MODEL.name, 17)
    origin = model.manifest.training
    assert (origin.parent, origin.trained_on) == (MODEL.label, {"transitions/0": (0, 50), "transitions/1": (7, 90)})
    assert origin.score["learner"]["transitions"] == 130
    same = jax.tree.map(np.array_equal, model.params, taught._learner.params)
    assert all(jax.tree.leaves(same))
