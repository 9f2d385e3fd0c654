import numpy as np
import pytest

from onnes.models.domain import Domain


@pytest.fixture(scope="module")
def points():
    """Four hundred points near a 24-dimensional plane in 40 dimensions."""
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(24, 40))
    return (rng.normal(size=(400, 24)) @ plane + 0.01 * rng.normal(size=(400, 40))).astype(np.float32)


@pytest.fixture(scope="module")
def domain(points):
    return Domain.fit(points)


def test_training_points_are_inside(domain, points) -> None:
    distances = domain.distance(points)
    assert distances.shape == (400,)
    assert (distances < 1).mean() > 0.99
    assert distances.max() < 1.5


def test_new_points_of_the_same_kind_are_mostly_inside(points) -> None:
    domain = Domain.fit(points[:300])
    assert np.median(domain.distance(points[300:])) < 1
    assert (domain.distance(points[300:]) < 1).mean() > 0.85


def test_far_points_are_outside_and_farther_is_farther(domain, points) -> None:
    direction = points[:1] / np.linalg.norm(points[:1])
    far = np.concatenate([direction * r for r in (50, 100, 200)])
    distances = domain.distance(far)
    assert distances[0] > 1
    assert (np.diff(distances) > 0).all()


def test_distance_is_the_mean_to_the_nearest_three() -> None:
    points = np.diag([1.0, 2.0, 3.0, 4.0]).astype(np.float32)
    plain = Domain(np.zeros(4, np.float32), np.eye(4, dtype=np.float32), points, 2.0)
    x = np.array([[0.5, 0, 0, 0]], np.float32)
    wanted = np.sort(np.linalg.norm(points - x, axis=1))[:3].mean() / 2.0
    assert plain.distance(x)[0] == pytest.approx(wanted, rel=1e-5)


def test_many_points_at_once(domain, points) -> None:
    many = np.tile(points, (2, 1))[:700]
    np.testing.assert_allclose(domain.distance(many)[:400], domain.distance(points), rtol=1e-3, atol=1e-3)


def test_stored_and_read(domain, points) -> None:
    read = Domain.from_tensors(domain.tensors())
    np.testing.assert_allclose(read.distance(points), domain.distance(points), rtol=1e-5, atol=1e-5)


def test_fit_is_deterministic(domain, points) -> None:
    again = Domain.fit(points)
    np.testing.assert_array_equal(again.points, domain.points)
    assert again.scale == domain.scale
