"""The hybrid transport, URL scheme ``hybrid+kafka://``: Faust steers, librdkafka carries.

Faust's own aiokafka consumer is the *control plane*: group membership, the co-partitioning assignor, rebalances,
and the topics with few records. The hot topics are assigned to it and paused in it; a ``confluent_kafka.Consumer``
with ``assign()`` is their *data plane* (`data_plane`) and delivers them as record batches (`record_batch`), one
Faust event for up to some thousand records of one partition.

Every touch of a private name of Faust or aiokafka is in `hybrid`; ``tests/streams/transport/test_contract.py``
names each of them, so that an upgrade fails there and not in production.
"""
