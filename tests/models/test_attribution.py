from itertools import permutations

import numpy as np
import pytest

from onnes.errors import ModelError
from onnes.models.attribution import MAX_EXACT, attribute
from onnes.physics.allen_dynes import allen_dynes_tc_K
from tests.models.made_up import heads

FEATURES = 6
RNG = np.random.default_rng(3)
ATOMS = RNG.normal(size=(9, FEATURES))
ORBITS = [0, 0, 0, 1, 1, 2, 2, 2, 2]
BASELINE = RNG.normal(size=4 * FEATURES)
WEIGHTS = RNG.normal(size=(2, 4 * FEATURES))


def pooled(atoms):
    return np.concatenate([atoms.mean(0), atoms.std(0), atoms.max(0), atoms.min(0)])


def mean(atoms):
    return atoms.mean(0)


def curved(x):
    """Two targets that are far from linear."""
    return {"a": np.tanh(x @ WEIGHTS[0]) * np.exp(0.2 * x @ WEIGHTS[1]), "b": (x**2).sum(1)}


def run(atoms=ATOMS, orbits=ORBITS, *, pool=pooled, predict=curved, baseline=BASELINE, **more):
    return attribute(atoms, orbits, pool=pool, predict=predict, baseline=baseline, **more)


def by_all_orders(value, n):
    """Shapley's definition, written out: the mean gain over all n! orders."""
    gains = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        for k, i in enumerate(order):
            gains[i] += value(frozenset(order[: k + 1])) - value(frozenset(order[:k]))
    return gains / len(orders)


@pytest.mark.parametrize("n_orbits", [1, 2, 3, MAX_EXACT, MAX_EXACT + 1, 20])
def test_parts_add_up_to_prediction_minus_baseline(n_orbits) -> None:
    atoms = RNG.normal(size=(2 * n_orbits, FEATURES))
    found = run(atoms, np.repeat(np.arange(n_orbits), 2))
    assert found.exact == (n_orbits <= MAX_EXACT)
    whole = curved(np.stack([BASELINE, pooled(atoms)]))
    for name in ("a", "b"):
        assert (found.baseline[name], found.prediction[name]) == pytest.approx(tuple(whole[name]))
        difference = whole[name][1] - whole[name][0]
        assert found.by_orbit[name].sum() == pytest.approx(difference, rel=1e-10)
        assert found.by_atom(name).sum() == pytest.approx(difference, rel=1e-10)


def test_equal_to_the_definition() -> None:
    labels = np.array(ORBITS)

    def value(coalition):
        present = np.isin(labels, list(coalition))
        x = BASELINE
        if present.any():
            share = present.mean()
            x = (1 - share) * BASELINE + share * pooled(ATOMS[present])
        return curved(x[None])["a"][0]

    np.testing.assert_allclose(run().by_orbit["a"], by_all_orders(value, 3), rtol=1e-10)


def test_a_linear_model_of_the_mean_gives_every_atom_its_own_deviation() -> None:
    baseline, weights = BASELINE[:FEATURES], WEIGHTS[0, :FEATURES]

    def linear(x):
        return {"y": x @ weights}

    wanted = (ATOMS - baseline) @ weights / len(ATOMS)
    alone = run(orbits=range(9), pool=mean, predict=linear, baseline=baseline)
    assert not alone.exact
    np.testing.assert_allclose(alone.by_atom("y"), wanted, atol=1e-12)
    np.testing.assert_allclose(alone.standard_error["y"], 0, atol=1e-12)  # order does not matter
    together = run(pool=mean, predict=linear, baseline=baseline)
    np.testing.assert_allclose(together.by_orbit["y"], np.bincount(ORBITS, wanted), atol=1e-12)


def test_equal_orbits_get_equal_parts_and_idle_ones_nothing() -> None:
    atoms = np.array([[2.0, 5.0], [2.0, 5.0], [0.0, 5.0]])  # the third has the average of all that counts
    found = run(atoms, [0, 1, 2], pool=mean, predict=lambda x: {"y": x[:, 0] ** 3}, baseline=np.zeros(2))
    first, second, third = found.by_orbit["y"]
    assert first == pytest.approx(second)
    assert first > 0
    assert third < first
    average = run(np.zeros((2, 2)), [0, 1], pool=mean, predict=lambda x: {"y": x[:, 0] ** 3}, baseline=np.zeros(2))
    assert average.by_orbit["y"].tolist() == [0.0, 0.0]


def test_linear_in_the_model() -> None:
    first, second = run(), run(predict=lambda x: {"a": 2 * curved(x)["a"] - curved(x)["b"]})
    np.testing.assert_allclose(second.by_orbit["a"], 2 * first.by_orbit["a"] - first.by_orbit["b"], rtol=1e-9)


def test_names_and_order_of_orbits_do_not_matter() -> None:
    order = RNG.permutation(9)
    renamed = np.array([70, 10, 40])[ORBITS]
    moved = run(ATOMS[order], renamed[order])
    assert set(moved.orbit_of_atom.tolist()) == {0, 1, 2}
    np.testing.assert_allclose(moved.by_atom("a"), run().by_atom("a")[order], rtol=1e-9)


def test_drawn_orders_come_close_to_all(monkeypatch) -> None:
    atoms = RNG.normal(size=(7, FEATURES))
    exact = run(atoms, range(7))
    monkeypatch.setattr("onnes.models.attribution.MAX_EXACT", 4)
    drawn = run(atoms, range(7), n_orders=400)
    assert not drawn.exact
    for name in ("a", "b"):
        error, said = np.abs(drawn.by_orbit[name] - exact.by_orbit[name]), drawn.standard_error[name]
        assert (error < 4 * said).all()  # honest
        assert said.max() < 0.1 * np.abs(exact.by_orbit[name]).max()  # and small
    again, other = run(atoms, range(7), n_orders=400), run(atoms, range(7), n_orders=400, seed=1)
    np.testing.assert_array_equal(drawn.by_orbit["a"], again.by_orbit["a"])
    assert (drawn.by_orbit["a"] != other.by_orbit["a"]).any()


def test_coalitions_are_asked_once() -> None:
    asked = []

    def count(x):
        asked.append(len(x))
        return {"y": x[:, 0]}

    run(predict=count)
    assert asked == [2**3]


def test_the_logarithms_and_tc_of_an_ensemble() -> None:
    ensemble = heads(("ln_lambda", "ln_omega_log_K"), width=4 * FEATURES, y_mean=[np.log(0.6), np.log(200)])

    def predict(x):
        logs = {name: members.mean(0) for name, members in ensemble.predict(x).items()}
        return {**logs, "tc_K": allen_dynes_tc_K(np.exp(logs["ln_lambda"]), np.exp(logs["ln_omega_log_K"]))}

    found = run(predict=predict, baseline=ensemble.x_mean)
    wanted = predict(np.stack([ensemble.x_mean, pooled(ATOMS)]))
    assert set(found.by_orbit) == {"ln_lambda", "ln_omega_log_K", "tc_K"}
    for name, (before, after) in wanted.items():
        assert after != pytest.approx(before, rel=1e-3)
        assert found.by_orbit[name].sum() == pytest.approx(after - before, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"orbits": [0, 1]}, "give one row an atom"),
        ({"atoms": ATOMS[:0], "orbits": []}, "give one row an atom"),
        ({"baseline": BASELINE[:5]}, "a baseline of shape"),
        ({"predict": lambda x: {"y": x}}, "predictions of y"),
        ({"predict": lambda x: {"y": np.where(np.arange(len(x)) == 3, np.nan, 1.0)}}, "predictions of y"),
    ],
)
def test_what_does_not_fit_is_said(change, fault) -> None:
    with pytest.raises(ModelError, match=fault):
        run(**change)
