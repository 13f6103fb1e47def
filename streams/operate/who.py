"""Who says it: every record of a person carries a name."""

from __future__ import annotations

import getpass

from streams.errors import ConfigurationError


def name_of(by: str | None) -> str:
    """The given name, or that of the user.

    Raises:
        ConfigurationError: nobody knows who you are.
    """
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user often has no name
        raise ConfigurationError("nobody knows who you are: give --by") from error
