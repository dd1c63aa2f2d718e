"""What holds of every task in the registry."""

import ast
import inspect
from dataclasses import is_dataclass
from pathlib import Path

import numpy as np
import pytest

import fewtune
from fewtune.base.errors import UsageError
from fewtune.cli.commands import COMMANDS
from fewtune.data.row import Origin, Row
from fewtune.data.shapes import SHAPES
from fewtune.pipeline.job import make_job
from fewtune.pipeline.judge import JUDGES, sums_of
from fewtune.report.words import METRICS
from fewtune.tasks import LABELLED, TASKS, Task
from fewtune.trials.measures import MEASURES
from fewtune.trials.sections import SECTIONS

HOUSE = Path(fewtune.__file__).parent
LABELS = ("door", "lamp", "pump")
ROWS = {
    "classify": [{"label": "pump"}, {"label": "door"}, {"label": "pump"}, {"label": "lamp"}],
    "multilabel": [
        {"labels": ("pump",)},
        {"labels": ("door", "lamp")},
        {"labels": ()},
        {"labels": ("pump", "door")},
    ],
}
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
every_labelled = pytest.mark.parametrize("task", LABELLED.values(), ids=list(LABELLED))


def rows_of(task):
    told = ROWS[task.name]
    return [Row(Origin("a.jsonl", k), {"text": f"t{k}", **one}) for k, one in enumerate(told, 1)]


def answers_of(task, rows):
    """Logits that put the rows' own labels first."""
    return np.where(task.ones(task.targets(rows)), 4.0, -4.0)


def test_the_registry_has_the_tasks_that_can_be_asked_for():
    assert list(TASKS) == ["classify", "multilabel", "generate"]
    assert {name for name, task in TASKS.items() if not task.writes} == LABELLED.keys()
    with pytest.raises(UsageError, match="task: one of auto, classify, multilabel, generate"):
        make_job("rows.csv", {"task": "sing"})


@every_task
def test_a_task_tells_all_that_is_asked_of_it(task):
    wanted = [name for name in Task.__annotations__ if not hasattr(task, name)]
    assert is_dataclass(task)
    assert not wanted
    assert Path(inspect.getfile(task)).stem == task.name  # the file's name is its key


@every_task
def test_what_a_task_names_is_there(task):
    assert task.shape in SHAPES
    assert task.shape.task == task.name
    assert task.shape.written == task.writes
    assert {task.primary, *task.shown} <= METRICS.keys()
    assert task.primary in task.shown
    assert task.primary in MEASURES
    assert set(task.sections) <= SECTIONS.keys()
    command, _, rest = task.usage.partition(" ")
    assert command in COMMANDS
    assert "{}" in rest


@every_labelled
def test_targets_tell_a_row_s_labels_again(task):
    one, rows = task(LABELS), rows_of(task)
    pairs = zip(rows, one.targets(rows), strict=True)
    again = [row.with_fields(**one.fields(target)) for row, target in pairs]
    assert [one.expected(row) for row in again] == [one.expected(row) for row in rows]
    assert (one.targets(again) == one.targets(rows)).all()
    assert all(map(one.known, rows))


@every_labelled
def test_a_task_answers_with_what_its_rows_expect(task):
    one, rows = task(LABELS), rows_of(task)
    found = one.choice.probabilities(answers_of(one, rows))
    assert one.answers(found) == [one.expected(row) for row in rows]
    assert one.right(found, rows).all()
    assert not one.right(1 - found, rows).any()


@every_labelled
def test_a_loss_is_least_where_the_answers_are_right(task):
    import torch

    one, rows = task(LABELS), rows_of(task)
    targets, logits = torch.tensor(one.targets(rows)), torch.tensor(answers_of(one, rows))
    right, weight = one.loss(logits, targets)
    wrong, _ = one.loss(-logits, targets)
    assert weight == len(rows)
    assert right / weight < 0.1 < wrong / weight


@every_labelled
def test_the_score_of_a_learning_curve_is_the_one_that_decides(task):
    one, rows = task(LABELS), rows_of(task)
    assert task.name in JUDGES
    for sign, wanted in ((1, 1.0), (-1, 0.0)):
        found = one.choice.probabilities(sign * answers_of(one, rows))
        sums = sums_of(one, one.targets(rows), one.answered(found))
        assert sums.function(sums.rows.sum(axis=0)[None])[0] == pytest.approx(wanted)


@every_labelled
def test_the_majority_is_as_wide_as_the_labels(task):
    one, rows = task(LABELS), rows_of(task)
    shares = one.majority(one.targets(rows), 7)
    assert shares.shape == (7, 3)
    assert (shares == shares[0]).all()
    assert ((shares >= 0) & (shares <= 1)).all()


def compared_with(names):
    """Where a room compares something with one of these names, written out."""
    for path in sorted(HOUSE.rglob("*.py")):
        if path.relative_to(HOUSE).parts[0] in ("tasks", "data"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                told = [c for one in (node.left, *node.comparators) for c in ast.walk(one)]
                if any(isinstance(c, ast.Constant) and c.value in names for c in told):
                    yield f"{path.relative_to(HOUSE)}:{node.lineno}"


def test_no_room_asks_which_task_it_is():
    assert not [*compared_with(TASKS.keys())]
    assert [*compared_with({"auto"})]  # it can be told
