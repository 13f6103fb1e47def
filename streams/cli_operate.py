"""Verbs of persons who step in: run modes by scope, pauses, approvals, rollbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.events import CommandGiven
    from streams.operate.run_modes import Mode

operate = typer.Typer()
control = typer.Typer(help="Stop, reduce and resume price changes by scope.", no_args_is_help=True)
offers = typer.Typer(help="Pause and resume single offers, whatever their policies say.", no_args_is_help=True)
approvals = typer.Typer(help="Prices that wait for a person's approval.", no_args_is_help=True)
operate.add_typer(control, name="control")
operate.add_typer(offers, name="offers")
operate.add_typer(approvals, name="approvals")

Why = Annotated[str, typer.Option(help="Reason, for the record.")]
By = Annotated[str | None, typer.Option(help="Who says so; your user name if not given.")]
Channel = Annotated[str | None, typer.Option(help="Only offers on this channel.")]
Category = Annotated[str | None, typer.Option(help="Only offers whose policy names this category.")]
Keys = Annotated[list[str], typer.Argument(help="Offers: channel:sku.")]
Ids = Annotated[list[str], typer.Argument(help="Ids of decisions that propose a price: 3-1042.")]
Some = Annotated[list[str] | None, typer.Option("--offer", help="Only this offer, channel:sku; may be repeated.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@control.command()
def halt(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Stop all price changes, also into new bounds; events are still applied."""
    _set_run_mode("HALTED", by, why, channel, category)


@control.command()
def reduce(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Let prices only go back towards the list price, and into new bounds."""
    _set_run_mode("REDUCING", by, why, channel, category)


@control.command()
def resume(why: Why, by: By = None, channel: Channel = None, category: Category = None) -> None:
    """Allow price changes again, as far as no other scope forbids them."""
    _set_run_mode("ACTIVE", by, why, channel, category)


@control.command()
def show(as_json: AsJson = False) -> None:
    """Show the last word about every scope: what is in force, by whom and since when. The strictest counts."""
    import orjson
    from rich.console import Console

    from streams.operate.run_modes import as_rows, in_force, print_in_force
    from streams.settings import load_settings

    settings = load_settings()
    found = in_force(settings)
    if as_json:
        for row in as_rows(found):
            typer.echo(orjson.dumps(row).decode())
    else:
        print_in_force(found, settings.partitions, Console())


def _set_run_mode(mode: Mode, by: str | None, why: str, channel: str | None, category: str | None) -> None:
    from schemas.topics import control_key
    from streams.operate.run_modes import publish_run_mode
    from streams.settings import load_settings

    settings = load_settings()
    partitions = publish_run_mode(settings, mode, by, why, channel=channel, category=category)
    scope = control_key(channel, category).decode()
    typer.echo(f"{mode} for {scope} published to {partitions} partitions of {settings.topic_prefix}.pricing-control")


@offers.command("pause")
def pause_offers(keys: Keys, why: Why, by: By = None) -> None:
    """Hold the prices of offers until somebody resumes them."""
    from streams.errors import InputRefused
    from streams.operate.commands import Giver
    from streams.operate.reading import read_policies
    from streams.settings import load_settings

    unknown = sorted(set(keys) - read_policies(load_settings()).keys())
    if unknown:
        raise InputRefused(f"there is no policy for {', '.join(unknown)}, so no price to hold")
    give = Giver(by, why)
    _publish([give(key, "pause") for key in keys], "hold their prices")


@offers.command("resume")
def resume_offers(
    why: Why,
    keys: Annotated[list[str] | None, typer.Argument(help="Offers: channel:sku; all that are meant if none.")] = None,
    channel: Channel = None,
    category: Category = None,
    rolled_back: Annotated[bool, typer.Option("--rolled-back", help="Only those that a rollback has paused.")] = False,
    by: By = None,
) -> None:
    """Let the prices of paused offers move again; those that nobody has paused are left alone."""
    from streams.errors import InputRefused
    from streams.operate.commands import Giver
    from streams.operate.pauses import paused
    from streams.operate.reading import Meant
    from streams.settings import load_settings

    if not (keys or channel or category or rolled_back):
        raise InputRefused("say which: offers, --channel, --category or --rolled-back")
    give = Giver(by, why)
    found = paused(load_settings(), Meant(channel, category, keys or ()), rolled_back=rolled_back)
    _publish([give(key, "resume") for key in found], "let their prices move again")


@offers.command("paused")
def list_paused(channel: Channel = None, category: Category = None, as_json: AsJson = False) -> None:
    """List the offers that persons have paused: who, when, how and why."""
    import orjson
    from rich.console import Console

    from streams.operate.pauses import as_rows, paused, print_paused
    from streams.operate.reading import Meant
    from streams.settings import load_settings

    found = paused(load_settings(), Meant(channel, category))
    if as_json:
        for row in as_rows(found):
            typer.echo(orjson.dumps(row).decode())
    else:
        print_paused(found, Console())


@approvals.command("list")
def list_approvals(as_json: AsJson = False) -> None:
    """List the proposed prices that nobody has answered yet."""
    import orjson
    from rich.console import Console

    from streams.operate.approvals import as_rows, print_waiting, waiting
    from streams.settings import load_settings

    found = waiting(load_settings())
    if as_json:
        for row in as_rows(found):
            typer.echo(orjson.dumps(row).decode())
    else:
        print_waiting(found, Console())


@approvals.command()
def approve(decision_ids: Ids, why: Why, by: By = None) -> None:
    """Let proposed prices be published, once, if they are still allowed then; else the next decision says why not."""
    _answer(decision_ids, "approve", by, why)


@approvals.command()
def reject(decision_ids: Ids, why: Why, by: By = None) -> None:
    """Refuse proposed prices; the same are not proposed again for a day."""
    _answer(decision_ids, "reject", by, why)


@operate.command()
def rollback(
    since: Annotated[str, typer.Option(help="Go back to the prices before then: 2h, 3d, or an RFC 3339 time.")],
    why: Why,
    channel: Channel = None,
    category: Category = None,
    offer: Some = None,
    expires_at: Annotated[str | None, typer.Option(help="RFC 3339; not carried out from this event time on.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    by: By = None,
) -> None:
    """Go back to earlier prices, also while prices are halted; the offers stay paused until somebody resumes them."""
    from rich.console import Console

    from streams.dlq.letters import parse_since
    from streams.operate.reading import Meant
    from streams.operate.rollback import commands, plan, print_plan
    from streams.settings import load_settings

    found = plan(load_settings(), parse_since(since), Meant(channel, category, offer or ()))
    print_plan(found, Console())
    if not dry_run:
        _publish(commands(found, by, why, expires_at=expires_at), "go back; `repricer offers paused` lists them")


def _answer(decision_ids: list[str], verb: Literal["approve", "reject"], by: str | None, why: str) -> None:
    from streams.operate.approvals import answers
    from streams.settings import load_settings

    _publish(answers(load_settings(), decision_ids, verb, by, why), f"{verb} what is proposed")


def _publish(commands: Sequence[CommandGiven], done: str) -> None:
    from streams.operate.commands import publish_commands
    from streams.settings import load_settings

    count = publish_commands(load_settings(), commands) if commands else 0
    typer.echo(f"{count} commands given: {done}; the next decision about each offer says what came of it")
