"""The Python face: the same names and options as the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fewtune.base.errors import UsageError
from fewtune.base.events import Event, tell
from fewtune.base.options import build

if TYPE_CHECKING:
    from fewtune.check.run import Checked
    from fewtune.methods.predictor import Predictor
    from fewtune.methods.voice import Voice
    from fewtune.record.folder import RunFolder
    from fewtune.trials.prompted import Prompted, PromptedVoice

Listener = Callable[[Event], None]


class Model:
    """A saved artefact, loaded when it is first asked.

    Attributes:
        path: the artefact's folder, `model/` of a run.
        model: where the artefact is a prompt, another model to put it to.
    """

    def __init__(self, path: Path | str, model: str | None = None) -> None:
        self.path = Path(path)
        self.model = model

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r})"

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded artefact.

        Raises:
            UsageError: it is a prompt, whose answers have no probabilities.
        """
        from fewtune.methods.predictor import load_predictor

        if self.prompted:
            raise UsageError(
                f"{self.path}: this is a prompt, and its answers have no probabilities; "
                "`fewtune predict` asks it."
            )
        return load_predictor(self.path)

    @cached_property
    def speaks(self) -> bool:
        """Whether it writes texts, rather than choosing a label."""
        from fewtune.methods.artefact import About

        return About.read(self.path).speaks

    @cached_property
    def prompted(self) -> Prompted | None:
        """The prompt, where the artefact is one.

        Raises:
            UsageError: another model is named and it is none.
        """
        from fewtune.trials.prompted import is_prompt, load

        if is_prompt(self.path):
            return load(self.path, self.model)
        if self.model is not None:
            raise UsageError(
                f"model: {self.path} is a model itself and no prompt that could be put to another."
            )
        return None

    @cached_property
    def voice(self) -> Voice | PromptedVoice:
        """The loaded language model, or the prompted one."""
        from fewtune.methods.predictor import load_voice
        from fewtune.models.waiting import wait_as_the_machine_allows
        from fewtune.trials.prompted import PromptedVoice

        if self.prompted:
            return PromptedVoice(self.prompted.model, self.prompted)
        wait_as_the_machine_allows()
        return load_voice(self.path)

    @cached_property
    def untouched(self) -> Voice | PromptedVoice:
        """The base of the language model, as it was before training, or without the prompt."""
        from fewtune.methods.predictor import load_untouched
        from fewtune.trials.prompted import PromptedVoice

        if self.prompted:
            return PromptedVoice(self.prompted.model)
        return load_untouched(self.path)

    def generate(self, prompts: Any, *, seed: int = 0, **decoding: Any) -> list[dict[str, Any]]:
        """Answers of a language model.

        Args:
            prompts: a text, or a list of texts and of dialogues (lists of `{"role", "content"}`).
            seed: of every sampled answer.
            decoding: `temperature`, `top_p`, `max_new_tokens`, ...; greedy where nothing is given.

        Returns:
            One `{"prediction": text, "stopped": bool, "tokens": int}` a prompt; `stopped` where the
            model ended its answer itself.

        Raises:
            UsageError: wrong options or prompts, or the model chooses among labels.
        """
        from fewtune.data.dialogue import refusing, waiting
        from fewtune.models.decoding import DecodingOptions
        from fewtune.record.options import SeedOptions

        build([SeedOptions], {"seed": seed})
        (how,) = build([DecodingOptions], decoding)
        asked = [prompts] if isinstance(prompts, str) else list(prompts)
        with refusing():
            replies = self.voice.answer(
                [waiting(one) for one in asked], cast(DecodingOptions, how), seed
            )
        return [
            {"prediction": one.text, "stopped": one.stopped, "tokens": one.tokens}
            for one in replies
        ]

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the probabilities."""
        if self.prompted:
            return list(self.prompted.prompt.labels)
        return list(self.predictor.about.labels)

    def predict(self, texts: Sequence[str] | str) -> list[dict[str, Any]]:
        """The label of each text and the probability of every class; of what writes, its answers.

        Args:
            texts: one text or several.

        Returns:
            One `{"prediction": label, "probability": {label: share}}` a text, or as `generate`;
            where a text may have several labels, `prediction` is a list of them. Of a prompt
            `{"prediction": label, "answer": text}`, both None where the model said nothing; the
            label alone, where it named none.
        """
        if self.speaks:
            return self.generate(texts)
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return []
        if self.prompted:
            return self.prompted.predict(texts)
        found = self.predictor.probabilities(texts)
        return [
            {
                "prediction": answer,
                "probability": {
                    label: round(float(p), 6) for label, p in zip(self.labels, one, strict=True)
                },
            }
            for answer, one in zip(self.predictor.task.answers(found), found, strict=True)
        ]


class Run(Model):
    """A run: its folder, its scores, its model.

    Attributes:
        folder: the run folder, from which everything else is read.
    """

    def __init__(self, folder: RunFolder, model: str | None = None) -> None:
        super().__init__(folder.model, model)
        self.folder = folder

    def __repr__(self) -> str:
        return f"Run({str(self.folder.path)!r}, {self.folder.state})"

    @property
    def scores(self) -> dict[str, Any]:
        """What `fewtune train --json` prints."""
        return self.folder.scores

    @property
    def verdict(self) -> str:
        """Whether it worked, in one sentence."""
        return self.scores.get("verdict", "")

    def report(self) -> Path:
        """Write report.html anew from the folder and give its path."""
        from fewtune.report.page import write_report

        return write_report(self.folder)

    def evaluate(self, data: str | Path, **options: Any) -> dict[str, Any]:
        """Score the model on other rows; see `fewtune.evaluate`."""
        return evaluate(self, data, **options)


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
    return _heard(folder, events, listen)


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
    return _heard(folder, events, listen)


def load(path: str | Path, model: str | None = None) -> Run | Model:
    """A run folder as a `Run`, or an artefact's folder (`model/` of a run) as a `Model`.

    Args:
        path: the folder.
        model: where it is a prompt's, another model to put it to: `endpoint:URL#NAME`, or a folder.
    """
    from fewtune.base.files import at
    from fewtune.methods.artefact import ABOUT
    from fewtune.record.folder import RunFolder

    if (at(path) / ABOUT).exists():
        return Model(at(path), model)
    return Run(RunFolder.open(path), model)


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
    from fewtune.pipeline.evaluation import evaluate_answers, evaluate_file
    from fewtune.pipeline.prompt_scores import evaluate_prompt

    other = options.pop("model", None)
    model = run if isinstance(run, Model) and other is None else load(_path_of(run), other)
    if model.prompted:
        return evaluate_prompt(model.prompted, str(model.path), str(data), options)
    if model.speaks:
        return evaluate_answers(model.path, str(data), options)
    return evaluate_file(model.path, model.predictor, str(data), options)


def check(
    data: str | Path,
    *,
    model: str | None = None,
    fix: str | None = None,
    mask: bool = False,
    **options: Any,
) -> Checked:
    """Look for what is wrong with training data.

    Args:
        data: the training file.
        model: also ask this pretrained model; rules that need one are left out without it.
        fix: write the training rows with the safe fixes to this .csv or .jsonl file.
        mask: with `fix`, also mask what is private.
        options: those of reading (`valid`, `test`, `text`, `label`, `map`, ...) and of checking
            (`select`, `ignore`, `group`, `source`, `few`, `ratio`).

    Raises:
        UsageError: wrong options, or no such file.
        FewtuneError: the file holds no usable row.
    """
    from fewtune.check.options import CheckOptions
    from fewtune.check.run import check_file
    from fewtune.data.options import DataOptions
    from fewtune.models.options import ModelOptions
    from fewtune.models.waiting import wait_as_the_machine_allows

    given = {name: value for name, value in options.items() if value is not None}
    reading, checking = build([DataOptions, CheckOptions], given)
    asked = ModelOptions(model=model) if model else None
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
    from fewtune.data.read import read_rows
    from fewtune.trials.suggest import most_useful

    if rows < 1:
        raise UsageError(f"rows: 1 or more; got {rows}.")
    model = run if isinstance(run, Model) else load(run)
    table = read_rows(at(data), [Role("text")], DataOptions(text=text))
    if listen:
        listen(tell("read", **table.ledger.counts(), files={"unlabelled": str(data)}))
        for note in table.notes:
            listen(tell("warned", message=note))
    found = table.rows
    texts = [row["text"] for row in found]
    shares = model.predictor.probabilities(texts)
    task = model.predictor.task
    return [
        {"text": texts[k], **task.suggestion(shares[k]), "origin": str(found[k].origin)}
        for k in most_useful(texts, shares, rows, task.choice)
    ]


def _path_of(run: Run | Model | str | Path) -> str | Path:
    return run.path if isinstance(run, Model) else run


def _heard(folder: RunFolder, events: Iterator[Event], listen: Listener | None) -> Run:
    for event in events:
        if listen:
            listen(event)
    if folder.state != "finished":
        raise UsageError(f"{folder.path}: the run did not finish; `fewtune resume` goes on.")
    return Run(folder)
