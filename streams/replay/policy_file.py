"""Policies from a CSV file like those that `repricer publish policies` takes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pricing_core.policy_table import PolicyTable
from schemas.binary import BinaryArray
from schemas.codec import decoder_for
from schemas.policies import OfferPolicy
from schemas.topics import OFFER_POLICIES
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.publish.convert import Converter
from streams.publish.csv_file import FIRST_LINE, CsvFile
from streams.publish.mapping import complete, parse


def read_policies(
    path: Path, mapping: Iterable[str], *, time_format: str | None = None
) -> dict[bytes, NDArray[np.void]]:
    """Read the policy of each offer by its key: arrays of one of `policy_table.POLICY`; the last one counts.

    ``time_format`` is that of `streams.publish.command.publish_csv`.

    Raises:
        InputRefused: The file cannot be read, or a line of it is no policy.
    """
    file, decoder = CsvFile(path), decoder_for(OFFER_POLICIES)
    whole = complete(parse(mapping), OfferPolicy, file.columns)
    convert = Converter(OfferPolicy, whole, decoder, file_digest=file.digest, time_format=time_format)
    found: dict[bytes, NDArray[np.void]] = {}
    line = FIRST_LINE
    for table in file.tables():
        records = convert(table, line, wall_ms())
        if records.rejects:
            reject = records.rejects[0]
            raise InputRefused(f"{path}, line {line + reject.index}: {reject.reason}: {reject.detail}")
        columns = decoder(BinaryArray.of(records.keys), BinaryArray.of(records.values), wall_ms()).columns
        policies = PolicyTable(len(records.keys))
        policies.put(np.arange(len(records.keys)), columns)
        found |= {key: policies.rows[place : place + 1] for place, key in enumerate(records.keys)}
        line += len(table)
    return found
