import pytest

from onnes.models.weights import weight_names


@pytest.fixture(scope="session")
def shipped():
    """Needs the weights that the package ships."""
    missing = {"structure", "electronic", "fast", "metal"} - set(weight_names())
    if missing:
        pytest.skip(f"the package has no weights {sorted(missing)} yet; train them with `onnes train`")
