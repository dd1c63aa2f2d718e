"""`fewtune config`: every option of `train` with its help, as YAML or as JSON schema."""

from __future__ import annotations

import json
from typing import Any

from pydantic import create_model

from fewtune.pipeline.job import AUTO
from fewtune.tasks import TASKS
from fewtune.trials.sections import SECTIONS, WAYS


def template() -> str:
    """YAML in which every option stands commented out with its default."""
    lines = [
        "# fewtune train DATA --config this-file.yaml        (flags win over the file)",
        "",
        f"# method: {AUTO}        # auto, one of {', '.join(WAYS)}, or several with +",
        f"# task: {AUTO}        # {AUTO}, {', '.join(TASKS)}",
    ]
    for name, cls in [*SECTIONS.items(), *WAYS.items()]:
        fields = {key: field for key, field in cls.model_fields.items() if field.description}
        if fields:
            kind = "only with method " if name in WAYS else ""
            lines += ["", f"# ---- {kind}{name}"]
        for key, field in fields.items():
            # JSON is YAML, and writes null, true and quotes as YAML has them
            lines.append(f"# {key}: {json.dumps(field.default)}        # {field.description}")
    return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema of such a file."""
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for cls in [*SECTIONS.values(), *WAYS.values()]
        for name, field in cls.model_fields.items()
    }
    fields |= {"method": (str, AUTO), "task": (str, AUTO)}
    made = create_model("train", __config__={"extra": "forbid"}, **fields)
    return made.model_json_schema()
