"""Rank 4: one file per task; the file name is its key."""

from fewtune.tasks.classify import Classify
from fewtune.tasks.labelled import Labelled
from fewtune.tasks.multilabel import Multilabel

#: Tasks that answer with labels, by key.
LABELLED: dict[str, type[Labelled]] = {task.name: task for task in (Classify, Multilabel)}
