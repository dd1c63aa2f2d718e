"""The walls of the house: a room imports only rooms of lower rank."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fewtune

HOUSE = Path(fewtune.__file__).parent
RANKS = {
    "base": 1, "data": 2, "models": 3, "tasks": 4,
    "check": 5, "augment": 5, "methods": 5, "evaluate": 5,
    "train": 6, "choose": 7, "record": 8, "trials": 9,
    "report": 10, "export": 10, "serve": 10,
    "pipeline": 11, "api": 12, "__init__": 13, "cli": 13, "web": 13, "__main__": 14,
}  # fmt: skip
FILES = sorted(HOUSE.rglob("*.py"))
WITHOUT_TORCH = ["base", "data", "record", "report"]
LIGHT = [*WITHOUT_TORCH, "api", "augment", "check", "choose", "cli", "evaluate", "tasks"]
HEAVY = ("torch", "peft", "transformers", "sklearn", "matplotlib")


def room_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "fewtune":
                names |= {f"fewtune.{alias.name}" for alias in node.names}
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {n.split(".")[1] for n in names if n.startswith("fewtune.")} & RANKS.keys()


def imported_packages(tree: ast.AST) -> set[str]:
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    return {n.split(".")[0] for n in names}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_a_room_imports_only_rooms_below_it(path):
    room = room_of(path)
    above = {
        other
        for other in imported_rooms(ast.parse(path.read_text(encoding="utf-8"))) - {room}
        if RANKS[other] >= RANKS[room]
    }
    assert not above, f"{room} (rank {RANKS[room]}) imports {above}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_only_methods_imports_peft(path):
    if room_of(path) != "methods":
        assert "peft" not in imported_packages(ast.parse(path.read_text(encoding="utf-8")))


def loads_what_is_heavy(modules):
    """The first of the modules after whose import a heavy library is there, and which."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    if found := [one for one in {HEAVY} if one in sys.modules]:\n"
        "        sys.exit(f'{name}: {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stderr.strip()


@pytest.mark.parametrize("room", LIGHT)
def test_no_module_of_a_light_room_loads_what_is_heavy(room):
    files = [path for path in FILES if room_of(path) == room]
    modules = [".".join(path.relative_to(HOUSE.parent).with_suffix("").parts) for path in files]
    assert modules
    assert not loads_what_is_heavy(modules)


def test_other_rooms_load_it_only_with_the_modules_that_need_it():
    rooms = [f"fewtune.{room_of(path)}" for path in FILES if path.name == "__init__.py"]
    assert not loads_what_is_heavy(["fewtune", *(one for one in rooms if "__" not in one)])
    assert "torch" in loads_what_is_heavy(["fewtune.models.answer_loss"])  # it can be told


@pytest.mark.parametrize("room", [r for r in WITHOUT_TORCH if (HOUSE / r).exists()])
def test_these_rooms_never_import_torch(room):
    for path in (HOUSE / room).rglob("*.py"):
        assert "torch" not in imported_packages(ast.parse(path.read_text(encoding="utf-8"))), path


def test_every_room_has_a_rank():
    assert {room_of(p) for p in FILES} <= RANKS.keys()
    assert len(FILES) > 300
