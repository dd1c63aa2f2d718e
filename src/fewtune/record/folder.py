"""The run folder: whatever is known about a run is a file in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import yaml

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import EVENTS, Event
from fewtune.base.files import UNFINISHED, at, sweep, write_atomic, write_json
from fewtune.record.lock import Lock
from fewtune.record.plain import plain
from fewtune.record.trouble import writing

State = Literal["finished", "resumable", "unfinished"]

RUNS = Path("runs")  # of the current directory, where runs go unless the user says otherwise
PLAN, DATA, EVENTS_FILE, SCORES = "plan.yaml", "data.json", "events.jsonl", "scores.json"
PREDICTIONS, ENVIRONMENT, LOCK = "predictions.jsonl", "environment.json", ".lock"
LEARNED = "learned.jsonl"
SPENT = "spent"  # in the plan: seconds of parts whose events are gone

#: Events worth a wait for the disk. The others are many, and losing the last few costs nothing.
IMPORTANT = {"started", "planned", "checkpoint", "stopped", "saved", "scored", "finished"}

TAIL = 65536  # bytes; longer than any event, so that the last one is found without the others


class RunFolder:
    """A run's folder. It is opened, or created and then held against other processes.

    Use it as a context manager, or call `close`, to let the lock go; the end of the process
    does it too.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = at(path)
        self._lock = Lock(self.path / LOCK)

    # ---- create, open, close

    @classmethod
    def create(cls, path: Path | str, plan: Mapping[str, Any]) -> RunFolder:
        """Make the folder and write its plan; the lock is held afterwards.

        Where the folder is already this very run's (the same fingerprint), it is given back as
        it is: ask its `state`. Its own plan stays, with what was once measured and chosen.

        Raises:
            UsageError: the folder holds other files, or another run.
            FewtuneError: it cannot be written, or another process works on this run.
        """
        folder = cls(path)
        if folder.path.exists() and not folder.path.is_dir():
            raise UsageError(
                f"{path}: this is a file, and a run needs a folder; choose another --output."
            )
        folder._refuse_foreign_files()
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
            folder._hold()
        try:
            folder._take_plan(plan)
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """A run folder that is there. It is not locked: reading needs no lock.

        Raises:
            UsageError: it is not a run folder.
        """
        folder = cls(path)
        listed = RUNS / folder.path
        if not is_run(folder.path) and folder.path.name == str(path) and is_run(listed):
            folder = cls(listed)  # by the name that `fewtune runs` gives
        if not folder.path.is_dir():
            raise UsageError(
                f"{folder.path}: there is no such run folder; `fewtune runs` lists the runs."
            )
        if not is_run(folder.path):
            raise UsageError(
                f"{folder.path}: this is not a run folder, for it has no {PLAN}; "
                "`fewtune runs` lists the runs."
            )
        return folder

    def lock(self) -> RunFolder:
        """Hold an opened folder against other processes, to go on writing in it."""
        with writing(self.path):
            self._hold()
        return self

    def _hold(self) -> None:
        self._lock.take()
        if self._lock.alone:  # else another process may be writing what would be swept up
            sweep(self.path)

    def close(self) -> None:
        """Let the lock go."""
        self._lock.give()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    # ---- read

    @property
    def name(self) -> str:
        """The folder's name; it may have been renamed since the plan was written."""
        return self.path.resolve().name

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are; the folder may not be there yet."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Where the artefact is; the folder may not be there yet."""
        return self.path / "model"

    @property
    def trials(self) -> Path:
        """Where fits that are not kept write; the folder may not be there yet."""
        return self.path / "trials"

    @property
    def plan(self) -> dict[str, Any]:
        """The plan, as written."""
        file = self.path / PLAN
        try:
            plan = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise FewtuneError(
                f"{file}: the run's plan cannot be read ({_first(error)})."
            ) from error
        if not isinstance(plan, dict):
            raise FewtuneError(f"{file}: the run's plan is not a mapping of names to values.")
        return _shaped(file, plan, ("data", "model", "method", "train", "evaluate", "run"))

    @property
    def data(self) -> dict[str, Any]:
        """What was read and how it was split; empty before the data were read."""
        return self._json(DATA)

    @property
    def scores(self) -> dict[str, Any]:
        """The scores; empty before the run was scored."""
        return _shaped(self.path / SCORES, self._json(SCORES), ("rows", "test", "baselines"))

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and machine; empty where they were not written."""
        return self._json(ENVIRONMENT)

    @property
    def events(self) -> Iterator[Event]:
        """The events in order. Half a line (a killed process) and unknown names are passed over."""
        return (event for line in self._lines(EVENTS_FILE) if (event := _event(line)))

    @property
    def spent(self) -> float:
        """Seconds that the run took so far, without the pauses in which it was stopped."""
        told, first, last = float(self.plan.get(SPENT) or 0.0), None, 0.0
        for event in self.events:
            if first is None or event.name == "started":
                told += max(0.0, last - first) if first is not None else 0.0
                first = event.time
            last = event.time
        return told if first is None else told + max(0.0, last - first)

    @property
    def predictions(self) -> Iterator[dict[str, Any]]:
        """One mapping a test row, in the test file's order."""
        return (one for line in self._lines(PREDICTIONS) if (one := _object(line)))

    @property
    def learned(self) -> Iterator[dict[str, Any]]:
        """One mapping a row that was learned beside the training rows."""
        return (one for line in self._lines(LEARNED) if (one := _object(line)))

    @property
    def virtual_tokens(self) -> list[list[dict[str, Any]]]:
        """Of a learned prompt, for each vector the nearest words, each `word` and `cosine`.

        Nothing where the artefact has none, or a file of them that cannot be read.
        """
        from fewtune.methods.soft_prompt import NEAREST

        try:
            found = json.loads((self.model / NEAREST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [one for one in found if one] if isinstance(found, list) else []

    @property
    def last_event(self) -> Event | None:
        """The event that was written last, found without reading the others."""
        try:
            with open(self.path / EVENTS_FILE, "rb") as file:
                start = max(0, file.seek(0, os.SEEK_END) - TAIL)
                file.seek(start)
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return None
        return next((event for line in reversed(lines) if (event := _event(line))), None)

    @property
    def state(self) -> State:
        """`finished`, `resumable` (a checkpoint is there) or `unfinished`."""
        last = self.last_event
        if last and last.name == "finished" and self._has_verdict():
            return "finished"
        return "resumable" if _has_checkpoint(self.checkpoints) else "unfinished"

    # ---- write

    def append(self, event: Event) -> None:
        """Write an event down: one line, one write, on the disk at once where it matters."""
        record = {"name": event.name, "time": event.time, **plain(event.fields)}
        line = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
        file = self.path / EVENTS_FILE
        with writing(file):
            handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                _write_whole(handle, _mended(handle) + line)
                if event.name in IMPORTANT:
                    os.fsync(handle)
            finally:
                os.close(handle)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write the plan, again when something was measured and chosen."""
        text = yaml.safe_dump(plain(plan), sort_keys=False, allow_unicode=True, width=100)
        self._write(PLAN, text)

    def write_data(self, data: Mapping[str, Any]) -> None:
        """Write what was read and how it was split."""
        self._write_json(DATA, data)

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        """Write the scores."""
        self._write_json(SCORES, scores)

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        """Write versions and machine."""
        self._write_json(ENVIRONMENT, environment)

    def write_predictions(self, predictions: Iterable[Mapping[str, Any]]) -> None:
        """Write one line a test row."""
        self._write_lines(PREDICTIONS, predictions)

    def write_learned(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write one line a row that is learned beside the training rows.

        They belong to what was decided, so a run that starts anew keeps them as it keeps its plan.
        """
        self._write_lines(LEARNED, rows)

    def start_anew(self) -> None:
        """Forget all but what was decided: for a run that ended before its first checkpoint."""
        spent = self.spent
        self._remove(self.path / EVENTS_FILE)  # first, or a kill here would count the time twice
        if spent:
            self.write_plan(self.plan | {SPENT: round(spent, 3)})
        for name in (SCORES, DATA, PREDICTIONS, ENVIRONMENT, "report.html"):
            self._remove(self.path / name)
        self._remove(self.checkpoints)
        self._remove(self.model)

    def forget(self, plan: Mapping[str, Any], made: Iterable[str]) -> None:
        """Forget what was decided too; what else somebody put into the folder stays.

        Args:
            plan: the first one.
            made: names of what the run's stages write beside the files that are known here.
        """
        self.start_anew()
        self._remove(self.trials)
        for name in (LEARNED, *made):
            self._remove(self.path / name)
        self.write_plan(plan)

    # ---- inside

    def _remove(self, one: Path) -> None:
        from shutil import rmtree

        with writing(one):
            if one.is_dir():
                rmtree(one)
            else:
                one.unlink(missing_ok=True)

    def _has_verdict(self) -> bool:
        try:
            return bool(self.scores.get("verdict"))
        except FewtuneError:  # damaged: the run is not whole, and can be made so again
            return False

    def _refuse_foreign_files(self) -> None:
        """Refuse before anything is written, the lock file included."""
        if not self.path.is_dir() or is_run(self.path):
            return
        try:
            others = [one.name for one in self.path.iterdir() if not _ours_in_the_making(one.name)]
        except OSError as error:
            raise FewtuneError(
                f"{self.path}: this folder cannot be read ({error.strerror})."
            ) from None
        if others:
            some = ", ".join(sorted(others)[:3]) + (", …" if len(others) > 3 else "")
            raise UsageError(
                f"{self.path}: this folder holds files that are not a run's ({some}); "
                "choose another --output, or empty it."
            )

    def _take_plan(self, plan: Mapping[str, Any]) -> None:
        if not is_run(self.path):
            self.write_plan(plan)
            return
        there, wanted = self.plan.get("fingerprint"), plan.get("fingerprint")
        if there != wanted or wanted is None:
            raise UsageError(
                f"{self.path}: another run lives here (its fingerprint is {there}, this run's is "
                f"{wanted}); choose another --output, or remove it with `{self._removal()}`."
            )

    def _removal(self) -> str:
        root = self.path.parent
        place = "" if root.resolve() == RUNS.resolve() else f" --root {quote(str(root))}"
        return f"fewtune runs rm {quote(self.name)}{place}"

    def _write(self, name: str, text: str) -> None:
        with writing(self.path / name):
            write_atomic(self.path / name, text)

    def _write_lines(self, name: str, objects: Iterable[Mapping[str, Any]]) -> None:
        lines = (json.dumps(plain(one), ensure_ascii=False, allow_nan=False) for one in objects)
        self._write(name, "".join(line + "\n" for line in lines))

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        with writing(self.path / name):
            write_json(self.path / name, plain(value))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return {}
        except (ValueError, OSError) as error:
            raise FewtuneError(f"{self.path / name}: cannot be read ({_first(error)}).") from error
        if not isinstance(value, dict):
            raise FewtuneError(f"{self.path / name}: holds no object of names and values.")
        return value

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            with open(self.path / name, "rb") as file:
                yield from file
        except FileNotFoundError:
            return
        except OSError as error:
            raise FewtuneError(
                f"{self.path / name}: cannot be read ({error.strerror}); see whose file it is."
            ) from error


def _shaped(file: Path, value: dict[str, Any], parts: Iterable[str]) -> dict[str, Any]:
    """The same, after a look at the parts that are mappings themselves: people edit files."""
    if wrong := [name for name in parts if not isinstance(value.get(name) or {}, dict)]:
        raise FewtuneError(f"{file}: is damaged ({', '.join(wrong)} should hold names and values).")
    return value


def is_run(path: Path) -> bool:
    """Whether a folder is a run's: its plan is there before anything else."""
    return (path / PLAN).is_file()


def _ours_in_the_making(name: str) -> bool:
    """What a process killed between making the folder and writing the plan leaves behind."""
    return name == LOCK or (name.startswith(PLAN) and name.endswith(UNFINISHED))


def _has_checkpoint(folder: Path) -> bool:
    return folder.is_dir() and any(
        not one.name.startswith(".") and not one.name.endswith(UNFINISHED)
        for one in folder.iterdir()
    )


def _event(line: bytes) -> Event | None:
    record = _object(line)
    if record is None or record.get("name") not in EVENTS:
        return None
    name, time = record.pop("name"), record.pop("time", 0.0)
    return Event(name, record, time if isinstance(time, int | float) else 0.0)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:  # half a line: the process was killed while it wrote
        return None
    return value if isinstance(value, dict) else None


def _mended(handle: int) -> bytes:
    """A line's end where the last process left half a line, else nothing."""
    size = os.fstat(handle).st_size
    return b"\n" if size and os.pread(handle, 1, size - 1) != b"\n" else b""


def _write_whole(handle: int, raw: bytes) -> None:
    """One write; a second one only where the disk took a part, and that one says why."""
    while raw:
        raw = raw[os.write(handle, raw) :]


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
