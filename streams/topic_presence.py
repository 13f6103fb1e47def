"""Are the topics there that the worker's neighbours use? The worker itself checks far more."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.topics import Topic
from streams.errors import TopicMismatch
from streams.settings import Settings
from streams.topic_admin import TopicAdmin


def require_present(settings: Settings, topics: Iterable[Topic]) -> int:
    """Refuse to go on without a topic.

    Returns:
        Number of partitions that they have.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: a topic is missing, or they differ in their number of partitions.
    """
    present = TopicAdmin(settings).cluster().topics
    names = [topic.full_name(settings.topic_prefix) for topic in topics]
    missing = [name for name in names if name not in present]
    if missing:
        raise TopicMismatch(f"no topic {', '.join(missing)} on the broker; create it with `repricer topics apply`")
    counts = {name: len(present[name].partitions) for name in names}
    if len(set(counts.values())) > 1:
        raise TopicMismatch(f"topics must have equally many partitions, but have {counts}")
    return counts[names[0]]
