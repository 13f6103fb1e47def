"""Dead letters for a person's eyes, and as JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from streams.dlq.letters import Letter
from streams.dlq.replay import Answer

WIDTH_OF_A_FILE = 160
"""Columns when the output is no terminal."""
OUTCOMES = {
    "planned": "[cyan]would be replayed[/]",
    "replayed": "[green]replayed[/]",
    "already": "[green]was replayed already[/]",
    "refused": "[yellow]not replayed[/]",
}


def as_dict(letter: Letter) -> dict[str, Any]:
    """One letter for JSON. Text where the bytes are UTF-8, else null beside the length and the hash."""
    content = letter.content
    return {
        "coordinates": str(letter.source),
        "reason": content.reason,
        "detail": content.detail,
        "rejected_at": content.rejected_at,
        "key": _text(content.key),
        "value": _text(content.value),
        "length": content.length,
        "sha256": content.sha256,
        "truncated": letter.truncated,
        "replay": None if letter.replay is None else letter.replay.state,
        "dead_letter": str(letter.place),
    }


def print_letters(letters: Iterable[Letter]) -> None:
    """A line for each."""
    table = Table(Column("coordinates", no_wrap=True), "refused at", "reason", "detail", "key", "bytes", "replay")
    for letter in letters:
        content, state = letter.content, "" if letter.replay is None else letter.replay.state
        size = f"{content.length:,}{' (cut)' if letter.truncated else ''}"
        cells = (str(letter.source), content.rejected_at, content.reason, content.detail[:80], _shown(content.key)[:40])
        table.add_row(*(escape(_plain(cell)) for cell in cells), size, state)
    _console().print(table)


def print_summary(letters: Iterable[Letter]) -> None:
    """How many by topic and reason."""
    table = Table("topic", "reason", Column("letters", justify="right"), Column("replayed", justify="right"))
    found = [(letter.source.topic, str(letter.content.reason), _is_done(letter)) for letter in letters]
    done = Counter((topic, reason) for topic, reason, replayed in found if replayed)
    for (topic, reason), count in sorted(Counter((topic, reason) for topic, reason, _ in found).items()):
        table.add_row(topic, reason, f"{count:,}", f"{done[topic, reason]:,}")
    _console().print(table)


def summary(letters: Iterable[Letter]) -> dict[str, dict[str, int]]:
    """How many by topic and reason, for JSON."""
    counts: dict[str, dict[str, int]] = {}
    for letter in letters:
        of_topic, reason = counts.setdefault(letter.source.topic, {}), str(letter.content.reason)
        of_topic[reason] = of_topic.get(reason, 0) + 1
    return counts


def print_letter(letter: Letter) -> None:
    """Everything that one letter holds, the record's bytes as readable as they are."""
    content = letter.content
    headers = letter.headers.items() if isinstance(letter.headers, dict) else letter.headers
    kept = (
        f"{len(content.value or b''):,} of {content.length:,} bytes"
        if letter.truncated
        else f"{content.length:,} bytes"
    )
    lines = {
        "refused": f"{letter.source} at {content.rejected_at}",
        "reason": f"{content.reason}: {content.detail}",
        "key": _shown(content.key),
        "kept": kept,
        "sha256": content.sha256,
        "replay": "none"
        if letter.replay is None
        else f"{letter.replay.state} by {letter.replay.by} at {letter.replay.at}",
        "letter": str(letter.place),
        **{f"header {name}": _shown(value.encode() if isinstance(value, str) else value) for name, value in headers},
    }
    console = _console()
    for name, text in lines.items():
        console.print(f"[bold]{escape(_plain(name))}[/]  {escape(_plain(text))}", soft_wrap=True, highlight=False)
    for text in _pretty(content.value).split("\n"):
        console.print(escape(_plain(text)), soft_wrap=True, highlight=False)


def print_answers(answers: Iterable[Answer]) -> None:
    """What became of each letter."""
    table = Table(Column("coordinates", no_wrap=True), "reason", "outcome", "")
    for answer in answers:
        letter = answer.letter
        table.add_row(str(letter.source), letter.content.reason, OUTCOMES[answer.outcome], escape(answer.detail))
    _console().print(table)


def _is_done(letter: Letter) -> bool:
    return letter.replay is not None and letter.replay.state == "done"


def _pretty(value: bytes | None) -> str:
    if value is None:
        return "null (no value)"
    try:
        return orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return _shown(value)


def _plain(text: str) -> str:
    """Without control characters: a record, or what a detail quotes of it, must not command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shown(value: bytes | None) -> str:
    """As text where it is some, else as Python writes bytes."""
    text = _text(value)
    if value is None:
        return "none"
    return text if text is not None and text.isprintable() else repr(value)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
