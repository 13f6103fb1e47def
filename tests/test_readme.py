"""The worked example in README runs as it is printed, and shows what it says."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_example_without_kafka_runs_and_finds_better_prices(capsys):
    section = README.read_text().split("## From Python, without Kafka")[1]
    (code,) = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)  # our own text
    assert capsys.readouterr().out.startswith("first week")
    elasticity, price = names["elasticity"], names["price"]
    start, now = ((12 * (p / 1_400) ** -elasticity * (p - 1_000)).sum() for p in (1_400, price))
    assert now > 1.04 * start
    assert np.corrcoef(elasticity, price)[0, 1] < -0.2  # who minds the price less pays more
