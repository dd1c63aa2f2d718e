"""Run the rules over what there is to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fewtune.base.errors import UsageError, did_you_mean
from fewtune.base.files import new_file
from fewtune.check.finding import SEVERITIES, Finding, several
from fewtune.check.fix import WRITERS, fixed, refuse_fix, write_fixed
from fewtune.check.look import Look, look_at
from fewtune.check.options import CheckOptions
from fewtune.check.rules import RULES, Rule, families
from fewtune.data.options import DataOptions
from fewtune.data.row import Origin, Row
from fewtune.models.options import ModelOptions


@dataclass(frozen=True)
class Checked:
    """What the linter found in a file.

    Attributes:
        rows: the ledger's counts.
        shape: what the training file was found to hold.
        columns: role -> column of the training file.
        findings: the worst first.
        notes: what reading decided.
        left_out: codes of rules that need a model.
        written: what `fix` changed, a line each, the file first.
    """

    rows: dict[str, int]
    shape: str
    columns: dict[str, str]
    findings: list[Finding]
    notes: list[str]
    left_out: list[str]
    written: list[str]
    by_origin: dict[Origin, Row] = field(repr=False)

    def row(self, origin: Origin) -> Row | None:
        """The row at a place, where it was kept."""
        return self.by_origin.get(origin)

    def as_json(self) -> dict[str, Any]:
        """As `check --json` prints it."""
        return {
            "rows": self.rows,
            "shape": self.shape,
            "columns": self.columns,
            "findings": [one.as_json() for one in self.findings],
            "written": self.written,
        }


def check_file(
    path: str,
    data: DataOptions,
    options: CheckOptions,
    model: ModelOptions | None = None,
    fix: str | None = None,
    masked: bool = False,
) -> Checked:
    """Look at a file and, where asked, write it anew with the safe fixes.

    Raises:
        UsageError, FewtuneError: see `fewtune.check`.
    """
    if masked and not fix:
        raise UsageError("mask: the masked rows need a file to be written to; add --fix FILE.")
    inputs = (path, data.valid, data.test, data.split)
    out = new_file(fix, "fix", WRITERS, inputs) if fix else None
    look = look_at(path, data, options, model)
    if out:
        refuse_fix(look, out)
    findings = check(look)
    written: list[str] = []
    if out:
        done = fixed(look, findings, masked, path)
        write_fixed(done, out)
        rows, changes = len(done.records), done.changes
        written = [f"{fix}: {several(rows, 'row')}, {several(len(changes), 'change')}.", *changes]
    return Checked(
        look.ledger.counts(),
        look.shape.name,
        dict(look.columns),
        findings,
        list(look.notes),
        [rule.code for rule in left_out(look)],
        written,
        {row.origin: row for _, row in look.rows},
    )


def check(look: Look) -> list[Finding]:
    """Everything the chosen rules find, the worst first.

    Raises:
        UsageError: `select` or `ignore` names a code that no rule has.
    """
    found = [finding for rule in chosen(look) for finding in rule.look(look)]
    return sorted(found, key=lambda one: SEVERITIES.index(one.severity))


def chosen(look: Look) -> list[Rule]:
    """The rules asked for, without those that need a model where there is none."""
    select, ignore = look.options.select, look.options.ignore
    _refuse_unknown("select", select)
    _refuse_unknown("ignore", ignore)
    return [
        rule
        for rule in RULES
        if (not select or _named(rule, select))
        and not _named(rule, ignore)
        and (look.model is not None or rule.needs == "rows")
        and rule.applies(look)
    ]


def left_out(look: Look) -> list[Rule]:
    """Rules that were asked for and need a model that was not given."""
    asked = chosen(_with_model(look))
    return [rule for rule in asked if rule.needs != "rows"] if look.model is None else []


def rule_named(code: str) -> Rule:
    """A rule by its code.

    Raises:
        UsageError: there is none.
    """
    for rule in RULES:
        if rule.code == code:
            return rule
    codes = [rule.code for rule in RULES]
    close = did_you_mean(code, codes) or f" The rules are {', '.join(codes)}."
    raise UsageError(f"explain: there is no rule {code!r}.{close}")


def _with_model(look: Look) -> Look:
    return replace(look, model=look.model or ModelOptions())


def _named(rule: Rule, names: Sequence[str]) -> bool:
    return rule.code in names or rule.family in names


def _refuse_unknown(option: str, names: Sequence[str]) -> None:
    known = [*(rule.code for rule in RULES), *families()]
    for name in names:
        if name not in known:
            raise UsageError(
                f"{option}: there is no rule or family {name!r}; families are "
                f"{', '.join(families())}, and docs/checks.md lists the rules."
                f"{did_you_mean(name, known)}"
            )
