"""What the estimators of Open Bandit Pipeline say of a log: `python open_bandit_reference.py LOG.npz` writes JSON.

A process of its own, because obp names packages on import that are not installed here: torch, pandas, scikit-learn.
None of them takes part in an estimate from NumPy arrays. Stand-ins that cannot do anything prove it.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np


class _Absent:
    """Nothing is an instance of it, and calling it fails."""

    def __init__(self, *_args, **_options):
        raise AssertionError("an estimate needs a package that is not there")


def _stand_in(name, *attributes):
    module = ModuleType(name)
    for attribute in attributes:
        setattr(module, attribute, _Absent)
    sys.modules[name] = module


def _without_running(package):
    """Let modules of the package be imported one by one: its __init__ would import plots and policies."""
    module = ModuleType(package)
    module.__path__ = [str(Path(importlib.util.find_spec("obp").origin).parent.joinpath(*package.split(".")[1:]))]
    sys.modules[package] = module


def main(path):
    _stand_in("torch", "Tensor")
    _stand_in("pandas", "DataFrame")
    _stand_in("sklearn")
    _stand_in("sklearn.utils", "check_random_state")
    _without_running("obp.ope")
    from obp.ope import estimators

    log = np.load(path)
    reference = {
        "ips": estimators.InverseProbabilityWeighting(),
        "snips": estimators.SelfNormalizedInverseProbabilityWeighting(),
        "direct_method": estimators.DirectMethod(),
        "doubly_robust": estimators.DoublyRobust(),
        "self_normalised_doubly_robust": estimators.SelfNormalizedDoublyRobust(),
    }
    columns = {
        "reward": log["reward"],
        "action": log["action"],
        "pscore": log["propensity"],
        "position": np.zeros(len(log["action"]), int),
        "action_dist": log["candidate"][:, :, None],
        "estimated_rewards_by_reg_model": log["model"][:, :, None],
    }
    json.dump({name: float(made.estimate_policy_value(**columns)) for name, made in reference.items()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
