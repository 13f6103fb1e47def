"""What another model would have decided, from the record of what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pricing_core.model_file import Model
from pricing_core.recorded import RecordedError
from schemas.binary import BinaryArray
from streams.replay.again import Replayer, pages_of, question_of, why_not_again
from streams.replay.decision_log import Found
from streams.settings import Settings


class Shadow:
    """Decides each decision again as its own model would, through the code that the worker decides by.

    The state, the policy, the moment and what chance said are those of the record; the share of exploring decisions
    is, too, so that what is compared are the models.
    """

    def __init__(self, settings: Settings, model: Model) -> None:
        self.model = model
        self.counts: Counter[str] = Counter()
        """Decisions that were shadowed, and those that no model can make again, by reason."""
        self._replayer = Replayer(settings, [model])

    def decide(self, founds: Iterable[Found]) -> list[tuple[Found, bytes]]:
        """Return audit records beside those that they shadow, in the order of these."""
        usable = []
        for found in founds:
            obstacle = why_not_again(found)
            if obstacle is None:
                usable.append(found)
            else:
                self.counts[obstacle] += 1
        decided = [pair for page in pages_of(usable) for pair in self._page(page)]
        return sorted(decided, key=lambda pair: (pair[0].partition, pair[0].offset))

    def _page(self, page: Sequence[Found]) -> Iterator[tuple[Found, bytes]]:
        engine = self._replayer.engine
        engine.model = replace(self.model, epsilon=page[0].record.epsilon or 0.0)
        try:
            decisions = engine.decide_again(question_of(page), BinaryArray.of(found.key for found in page))
        except RecordedError:
            if len(page) > 1:
                for found in page:
                    yield from self._page([found])
            else:
                self.counts["without readable inputs"] += 1
            return
        yield from zip(page, self._replayer.records(page, decisions), strict=True)
