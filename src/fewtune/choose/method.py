"""Which method, where the user leaves the choice to us."""

from __future__ import annotations

LARGE = 50_000_000  # parameters


def default_method(parameters: int) -> tuple[str, str]:
    """A method's name and the reason, until the race between methods decides.

    >>> default_method(22_000_000)[0], default_method(7_000_000_000)[0]
    ('full', 'lora')
    """
    if parameters <= LARGE:
        return "full", (
            f"`full`: with {parameters / 1e6:.0f} million parameters every weight can train."
        )
    return "lora", (
        f"`lora`: with {parameters / 1e6:,.0f} million parameters, low-rank updates need a "
        "fraction of the memory and forget less."
    )
