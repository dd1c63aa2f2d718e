"""What asks a saved model: `load`, `predict`, `evaluate`, `label`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewtune.api.model import Model
from fewtune.api.run import Listener, Run
from fewtune.base.errors import UsageError
from fewtune.base.events import tell


def load(path: str | Path, model: str | None = None) -> Run | Model:
    """A run folder as a `Run`, or an artefact's folder (`model/` of a run) as a `Model`.

    Args:
        path: the folder.
        model: where it is a prompt's, another model to put it to: `endpoint:URL#NAME`, or a folder.

    Raises:
        UsageError: it is neither, or a comparison, which keeps no model.
    """
    from fewtune.base.files import at
    from fewtune.methods.artefact import ABOUT
    from fewtune.record.folder import RunFolder
    from fewtune.report.comparison import is_comparison

    if (at(path) / ABOUT).exists():
        return Model(at(path), model)
    folder = RunFolder.open(path)
    if not (folder.model / ABOUT).exists() and is_comparison(folder):  # a model needs no plan
        raise UsageError(
            f"{path}: this is a comparison, which keeps no model; train one with `fewtune train` "
            "and --method NAME."
        )
    return Run(folder, model)


def predict(run: Run | Model | str | Path, texts: Sequence[str] | str) -> list[dict[str, Any]]:
    """`load(run).predict(texts)`."""
    model = run if isinstance(run, Model) else load(run)
    return model.predict(texts)


def evaluate(run: Run | Model | str | Path, data: str | Path, **options: Any) -> dict[str, Any]:
    """Score a saved model on labelled rows.

    Args:
        run: a run, an artefact, or the path of one.
        data: a file with the columns the model was trained on.
        options: `text`, `label`, `map`, `encoding`, `format`, `strict`, `positive`, `bootstrap`,
            `seed`; of a model that writes those of decoding, `metric`, `answered_rows` and
            `adapter_scale` (less of what was learned, and of what was forgotten); of a prompt
            `model` (another one to put it to).

    Returns:
        `{"run", "data", "task", "method", "primary", "rows", "test"}`, of a classifier also
        `"per_class"` and `"confusion"`.
    """
    from fewtune.models.ladder import news
    from fewtune.pipeline.evaluation import evaluate_answers, evaluate_file
    from fewtune.pipeline.prompt_scores import evaluate_prompt

    other = options.pop("model", None)
    model = run if isinstance(run, Model) and other is None else load(_path_of(run), other)
    if model.prompted:
        found = evaluate_prompt(model.prompted, str(model.path), str(data), options)
    elif model.speaks:
        found = evaluate_answers(model.path, str(data), options)
    else:
        found = evaluate_file(model.path, model.predictor, str(data), options)
    return found | {"notes": [*found["notes"], *news()]}


def label(
    run: Run | Model | str | Path,
    data: str | Path,
    rows: int = 100,
    text: str | None = None,
    listen: Listener | None = None,
) -> list[dict[str, Any]]:
    """Suggest labels for a person to correct, the most useful rows first.

    Args:
        run: a run, an artefact, or the path of one.
        data: a file of unlabelled rows.
        rows: how many to suggest.
        text: the column that holds the text; found by its name where not given.
        listen: called with what reading tells: `read`, and `warned` for every note.

    Returns:
        `{"text", "label", "confidence", "second", "origin"}`: the likeliest label, its
        probability, and the next likeliest. Where a text may have several labels, `labels` in place
        of `label`, how sure the least sure of all answers is, and the likeliest other label.
    """
    from fewtune.base.files import at
    from fewtune.data.columns import Role
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_otherwise, read_rows
    from fewtune.models.ladder import news
    from fewtune.trials.suggest import most_useful

    if rows < 1:
        raise UsageError(f"rows: 1 or more; got {rows}.")
    model = run if isinstance(run, Model) else load(run)
    reading, learned = DataOptions(text=text), model.columns
    table = read_rows(at(data), [Role("text")], reading, like=learned)
    if listen:
        listen(tell("read", **table.ledger.counts(), files={"unlabelled": str(data)}))
        for note in (*table.notes, *read_otherwise(table, learned, reading)):
            listen(tell("warned", message=note))
    found = table.rows
    texts = [row["text"] for row in found]
    shares = model.predictor.probabilities(texts)
    if listen:
        for note in news():
            listen(tell("warned", message=note))
    task = model.predictor.task
    return [
        {"text": texts[k], **task.suggestion(shares[k]), "origin": str(found[k].origin)}
        for k in most_useful(texts, shares, rows, task.choice)
    ]


def _path_of(run: Run | Model | str | Path) -> str | Path:
    return run.path if isinstance(run, Model) else run
