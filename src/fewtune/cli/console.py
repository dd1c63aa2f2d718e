"""A console that shows what users' files hold, and obeys none of it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from fewtune.base.printable import clean


class Console(RichConsole):
    """Rich's, which hands escape sequences in a text on to the terminal."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """As Rich renders it; what stands in texts is no command."""
        for one in super().render(renderable, options):
            yield one if one.control else Segment(clean(one.text), one.style)
