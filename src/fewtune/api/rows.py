"""What looks at training rows and makes new ones: `check` and `augment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fewtune.api.run import Listener

if TYPE_CHECKING:
    from fewtune.check.run import Checked


def check(
    data: str | Path,
    *,
    model: str | None = None,
    fix: str | None = None,
    mask: bool = False,
    allow_pickle: bool = False,
    **options: Any,
) -> Checked:
    """Look for what is wrong with training data.

    Args:
        data: the training file.
        model: also ask this pretrained model; rules that need one are left out without it.
        fix: write the training rows with the safe fixes to this .csv or .jsonl file.
        mask: with `fix`, also mask what is private.
        allow_pickle: load the model's weights also where they are a pickle, which can run code.
        options: those of reading (`valid`, `test`, `text`, `label`, `map`, ...) and of checking
            (`select`, `ignore`, `group`, `source`, `few`, `ratio`).

    Raises:
        UsageError: wrong options, or no such file.
        FewtuneError: the file holds no usable row.
    """
    from fewtune.base.options import build
    from fewtune.check.options import CheckOptions
    from fewtune.check.run import check_file
    from fewtune.data.options import DataOptions
    from fewtune.models.options import ModelOptions
    from fewtune.models.waiting import wait_as_the_machine_allows

    given = {name: value for name, value in options.items() if value is not None}
    reading, checking = build([DataOptions, CheckOptions], given)
    asked = ModelOptions(model=model, allow_pickle=allow_pickle) if model else None
    if asked:
        wait_as_the_machine_allows()
    return check_file(
        str(data), cast(DataOptions, reading), cast(CheckOptions, checking), asked, fix, mask
    )


def augment(
    data: str | Path,
    *,
    write: str | None = None,
    sheet: str | None = None,
    seed: int = 0,
    listen: Listener | None = None,
    **options: Any,
) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    """Make new rows from a file of training rows.

    Args:
        data: the training file, or a folder of images by class; rows of `valid` and `test` are
            kept away from.
        write: a .csv or .jsonl file for the new rows; for images a new folder, which gets the
            pictures by class, `rows.csv` and `sheet.png`.
        sheet: for images, a .png file that shows what the recipes do.
        seed: of every choice.
        listen: called with `warned` for what reading decided and for recipes that made nothing.
        options: `augment` (recipes), `augment_copies`, `lexicon`, `protect`, the models that are
            asked (`augment_model`, `augment_endpoint`, `augment_calls`), and those of reading.

    Returns:
        The new rows (`text`, `label`, `parent`, `recipe`, `before`: the parent's text; of images
        `image` in place of `text`, None where they were not written; of dialogues `messages` in
        place of `label`), how many
        were dropped by reason, and how many texts a model was asked to write.

    Raises:
        UsageError: no such recipe or file, or `write` ends otherwise.
    """
    from fewtune.augment.file import augment_file
    from fewtune.augment.options import AugmentOptions
    from fewtune.base.options import build
    from fewtune.data.options import DataOptions

    given = {name: value for name, value in options.items() if value is not None}
    reading, making = build([DataOptions, AugmentOptions], given)
    return augment_file(
        str(data),
        cast(DataOptions, reading),
        cast(AugmentOptions, making),
        seed,
        write,
        sheet,
        listen,
    )
