"""The worked example in README runs as it is printed, and shows what it says."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_example_without_kafka_runs_and_the_offers_learn(capsys):
    section = README.read_text().split("## From Python, without Kafka")[1]
    (code,) = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)  # our own text
    assert capsys.readouterr().out.startswith("first week")
    assert sum(names["profit"][-7:]) > 1.03 * sum(names["profit"][:7])
    order = np.argsort(names["elasticity"])
    tolerant, touchy = names["price"][order[:60]], names["price"][order[-60:]]
    assert tolerant.mean() > 1.1 * touchy.mean()  # who minds the price less pays more
