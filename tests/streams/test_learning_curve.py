"""Learning curves: a plot for each, and a note where there is nothing to plot with."""

import struct
from io import StringIO

from rich.console import Console

from streams import learning_curve
from streams.learning_curve import save_curves

CURVES = {"loss": [3.0, 2.0, 1.5, 1.2], "reward": [0.1, 0.3, 0.35, 0.4]}


def test_a_png_holds_a_plot_for_each_curve(tmp_path):
    path, heights = tmp_path / "curve.png", []
    for names in (["loss"], ["loss", "reward"]):
        save_curves(path, "a model", [25, 50, 75, 100], {name: CURVES[name] for name in names}, Console(stderr=True))
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        heights.append(struct.unpack(">II", data[16:24])[1])
    assert heights[1] == 2 * heights[0]


def test_without_matplotlib_a_note_says_how_to_get_the_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(learning_curve, "find_spec", lambda _name: None)
    said = Console(file=StringIO())
    save_curves(tmp_path / "curve.png", "a model", [1], {"loss": [1.0]}, said)
    assert "pip install 'repricer[plots]'" in said.file.getvalue()
    assert not list(tmp_path.iterdir())
