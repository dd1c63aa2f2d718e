"""What trains, and what says beforehand how: `train`, `resume`, `plan`, `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewtune.api.run import Listener, Run, heard
from fewtune.base.errors import UsageError


def train(data: str | Path, *, listen: Listener | None = None, **options: Any) -> Run:
    """Fine-tune on a file of labelled rows and prove the gain.

    Args:
        data: csv, tsv, json, jsonl, parquet or xlsx file with a text and a label column.
        listen: called with every event of the run.
        options: those of `fewtune train`, by the same names: `model`, `method`, `output`, `seed`,
            `learning_rate`, `lora_r`, ...

    Returns:
        The finished run. The same job on the same files is not computed twice.

    Raises:
        UsageError: wrong options; every mistake at once.
        FewtuneError: the job is impossible; a sentence says why.
    """
    from fewtune.pipeline.job import make_job
    from fewtune.pipeline.order import start

    folder, events = start(make_job(str(data), options))
    return heard(folder, events, listen)


def resume(run: str | Path, *, listen: Listener | None = None) -> Run:
    """Go on with a run that was stopped; a finished one is given back as it is.

    Args:
        run: the run folder.
        listen: called with every event.
    """
    from fewtune.pipeline.order import resume as resume_run
    from fewtune.record.folder import RunFolder
    from fewtune.report.comparison import is_comparison

    if is_comparison(told := RunFolder.open(run)):
        raise UsageError(
            f"{told.path}: this is a comparison, which goes on with the command that began it: "
            f"`{told.plan['command']}`."
        )
    folder, events = resume_run(Path(run))
    return heard(folder, events, listen)


def plan(data: str | Path, **options: Any) -> dict[str, Any]:
    """Which methods suit data, model and machine: what each would train, take and cost, and why.

    Nothing is trained and no weights are read: a folder with config.json and a tokenizer will do.

    Args:
        data: the training file.
        options: `need` (modular, switch, edge, input-only), `memory` ("24GB"), `budget` ("10m"),
            `again`, and those of `train` by the same names: `model`, `device`, `task`, ...

    Returns:
        What `fewtune plan --json` prints; `methods` by rank, each with `options`, `reasons`,
        `memory`, `seconds` and the `command` that trains by it.

    Raises:
        UsageError: wrong options; every mistake at once.
        FewtuneError: no such model or file, or no method could learn from these rows.
    """
    from fewtune.pipeline.proposal import propose

    return propose(str(data), options).as_json()


def compare(data: str | Path, *, listen: Listener | None = None, **options: Any) -> dict[str, Any]:
    """Compare methods, presets and single options on folds of the training rows.

    Args:
        data: the training file.
        listen: called with every event.
        options: `methods`, `seeds`, `presets`, `vary` (`{"lora_r": [4, 16]}`), `csv`, `markdown`,
            and those of `train` by the same names: `model`, `test`, `folds`, `budget`, `output`,
            ...; options of a method go to that method alone.

    Returns:
        What `fewtune compare --json` prints: `methods` by rank, each with `score` and `test`
        (`value`, `low`, `high`), `tied`, `behind`, `seconds`, `memory`, `bytes`; `steps` with the
        `effect` of each thing changed; `verdict`. The same comparison of the same files is not
        computed twice.

    Raises:
        UsageError: wrong options; every mistake at once.
        FewtuneError: no method can be compared on these rows.
    """
    from fewtune.pipeline.compare import compared, start_comparison

    folder, events = start_comparison(str(data), options)
    for event in events:
        if listen:
            listen(event)
    return compared(folder, options)
