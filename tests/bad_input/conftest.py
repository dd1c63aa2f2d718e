"""The program called in this process, in a folder of good and bad files."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))

from desk import ROWS, Said, table
from tiny_models import TINY, build

from fewtune.cli import main
from fewtune.train import workbench


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Threads only get in one another's way on matrices of 32 by 32."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workbench, "threads", lambda: 1)
        patched.setattr("os.fsync", lambda handle: None)  # no power fails here; half the time
        patched.setenv("HF_HUB_OFFLINE", "1")
        patched.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        threads = torch.get_num_threads()
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """A folder with tiny pretrained models."""
    root = tmp_path_factory.mktemp("bases")
    for name in ("bert", "gpt2", "distilbert"):
        build(TINY[name], root / name)
    return root


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The working folder: `good.csv`, and whatever a test puts there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_bytes(table(ROWS))
    return tmp_path


@pytest.fixture
def bert(desk, bases):
    """A copy of the tiny BERT in the working folder, to be damaged."""
    return Path(shutil.copytree(bases / "bert", desk / "bert"))


@pytest.fixture
def fewtune(capsys, monkeypatch):
    """`fewtune("train good.csv")`: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main sets its own

    def call(words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(shlex.split(words) if isinstance(words, str) else words)
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return call


@pytest.fixture(scope="session")
def trained(bases, tmp_path_factory):
    """Two finished runs, `tfidf` and `lora`; tests take copies."""
    import fewtune

    root = tmp_path_factory.mktemp("trained")
    (root / "good.csv").write_bytes(table(ROWS))
    fewtune.train(root / "good.csv", method="tfidf", output=str(root / "tfidf"))
    fewtune.train(
        root / "good.csv", method="lora", model=str(bases / "gpt2"), attention="eager",
        max_steps="2", output=str(root / "lora"),
    )  # fmt: skip
    fewtune.train(
        root / "good.csv", method="probe", model=str(bases / "bert"), output=str(root / "probe")
    )
    return root


@pytest.fixture
def kept(desk, trained):
    """The finished runs in `runs/`, for tests that change nothing."""
    (desk / "runs").symlink_to(trained)
    return desk / "runs"


@pytest.fixture
def runs(desk, trained):
    """The finished runs in `runs/`, to be damaged."""
    for name in ("tfidf", "lora", "probe"):
        shutil.copytree(trained / name, desk / "runs" / name)
    return desk / "runs"
