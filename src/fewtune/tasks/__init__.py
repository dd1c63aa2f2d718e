"""Rank 4: one file per task; the file name is its key. Adding one is a file and a line here."""

from fewtune.tasks.base import Task
from fewtune.tasks.classify import Classify
from fewtune.tasks.generate import Generate
from fewtune.tasks.labelled import Labelled
from fewtune.tasks.multilabel import Multilabel

#: All tasks, by key.
TASKS: dict[str, type[Task]] = {task.name: task for task in (Classify, Multilabel, Generate)}
#: Those that answer with labels.
LABELLED: dict[str, type[Labelled]] = {
    name: task for name, task in TASKS.items() if issubclass(task, Labelled)
}

__all__ = ["LABELLED", "TASKS", "Labelled", "Task"]
