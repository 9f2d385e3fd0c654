import pytest

from onnes.errors import ConfigError
from onnes.figure import check_suffix, drawn, styles


def test_curves_are_told_apart() -> None:
    drawn = [(colour, str(dash)) for (colour, dash), _ in zip(styles(), range(30), strict=False)]
    assert len(set(drawn)) == 30


def test_suffixes(tmp_path) -> None:
    check_suffix("a.svg")
    check_suffix(tmp_path / "a.PNG")
    for draw in (check_suffix, lambda path: drawn(path).__enter__()):
        with pytest.raises(ConfigError, match=r"a\.pdf: figures are written as \.svg or \.png"):
            draw(tmp_path / "a.pdf")
