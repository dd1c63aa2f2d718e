"""Which method for which case: rules that can be read, each with what it rests on.

The guides' rules come first and are the prior. What was measured with fewtune (docs/log.md) weighs
more and overrules them; what the user says they need weighs most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fewtune.base.amounts import told_bytes
from fewtune.choose.facts import LARGE, SMALL, Facts
from fewtune.choose.method import LARGE as SMALL_MODEL
from fewtune.methods import parts_of

ALL_WEIGHTS = 16  # bytes a parameter that trains: itself, its gradient, AdamW's two moments
LARGE_MODEL = 1_000_000_000  # parameters
STRANGE = 0.05  # share of unknown tokens from which a model does not read the texts
NOISY = 150  # rows; below, the fits that were measured ended too sure

#: What the user may need besides a good score.
NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "modular": "one base, with parts to exchange",
        "switch": "one model in memory, tasks switched from request to request",
        "edge": "a small machine runs it",
        "input-only": "only the input can be changed, the model is out of reach",
    }
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: in the plan.
        when: whether it applies.
        points: method -> what it adds to the method's score; names that are not there get
            `others`.
        says: the reason, with the facts' numbers in it.
        source: the paper, or where it was measured.
        kind: `prior`, `measured` or `need`.
        numbers: method -> what was measured of it.
    """

    name: str
    when: Callable[[Facts], bool]
    points: Mapping[str, float]
    says: Callable[[Facts], str]
    source: str
    kind: str = "prior"
    others: float = 0.0
    numbers: Mapping[str, str] = field(default_factory=dict)

    def reason(self, facts: Facts, method: str) -> str:
        """The sentence for a method, and where it comes from."""
        own = self.numbers.get(method)
        return f"{self.says(facts)}{f': {own}' if own else ''} [{self.source}]."

    def adds(self, method: str) -> float:
        """Points for a method as spelled; of a hybrid the least of its parts'."""
        return min(self.points.get(part, self.others) for part in parts_of(method))


def _labels(facts: Facts) -> bool:
    return not facts.writes


def _small_encoder(facts: Facts) -> bool:
    return not facts.writes and facts.parameters <= SMALL_MODEL


def _few_resources(facts: Facts) -> bool:
    """Whether training all weights would take more than is there, whatever the batch."""
    return ALL_WEIGHTS * facts.parameters > facts.hardware.memory


def _all_weights(facts: Facts) -> str:
    """What full training takes without batch and process, which are in the table's memory."""
    size = told_bytes(ALL_WEIGHTS * facts.parameters)
    every = _millions(facts.parameters)
    return f"{size} for weights, gradients and optimiser of all {every} parameters"


def _millions(count: float) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{count / 1e6:.0f} million"


def _reads_strangely(facts: Facts) -> bool:
    return facts.unknown > STRANGE


def measured_on(facts: Facts) -> bool:
    """Whether a case is like those that methods were measured on: a small encoder that can read the
    texts.
    """
    return _small_encoder(facts) and not _reads_strangely(facts)


SOFT = ("prompt", "ptuning", "prefix")

#: The guides' rules.
PRIOR: tuple[Rule, ...] = (
    Rule(
        "large-data",
        lambda f: f.rows > LARGE and not _few_resources(f),
        {"full": 2, "lora": 1},
        lambda f: (
            f"{f.rows:,} rows and room for full training ({_all_weights(f)}, of "
            f"{told_bytes(f.hardware.memory)}): with much data it learns most"
        ),
        "Chen et al. 2022, arXiv:2202.07962; Biderman et al. 2024, arXiv:2405.09673",
    ),
    Rule(
        "small-data-few-resources",
        lambda f: f.rows < SMALL and _few_resources(f),
        {"lora": 2, "freeze": 1.5, "adapter": 1, "ia3": 0.5, "full": -2},
        lambda f: (
            f"{f.rows:,} rows; {told_bytes(f.hardware.memory)} may be used and full training takes "
            f"{_all_weights(f)} alone: train a part"
        ),
        "Hu et al. 2021, arXiv:2106.09685; Yosinski et al. 2014, arXiv:1411.1792",
    ),
    Rule(
        "few-resources",
        lambda f: f.rows >= SMALL and _few_resources(f),
        {"lora": 2, "adapter": 1, "freeze": 1, "full": -2},
        lambda f: (
            f"{told_bytes(f.hardware.memory)} may be used and full training takes "
            f"{_all_weights(f)} alone: train parts added to frozen weights"
        ),
        "Hu et al. 2021, arXiv:2106.09685",
    ),
    Rule(
        "large-model-few-rows",
        lambda f: f.parameters > LARGE_MODEL and f.rows <= LARGE,
        {"lora": 1, "adapter": 0.5, "full": -1},
        lambda f: (
            f"{_millions(f.parameters)} weights and {f.rows:,} rows: low-rank updates come near "
            "full fine-tuning and forget less"
        ),
        "Biderman et al. 2024, arXiv:2405.09673",
    ),
    Rule(
        "larger-encoder",
        lambda f: _labels(f) and f.parameters > SMALL_MODEL,
        {"lora": 1.5, "full": 1.2, "adapter": 1, "freeze": 0.5},
        lambda f: (
            f"{_millions(f.parameters)} parameters: added parts that are a few hundredths of them "
            "come within a point of full fine-tuning"
        ),
        "Houlsby et al. 2019, arXiv:1902.00751, table 1; Hu et al. 2021, arXiv:2106.09685, table 2",
    ),
    Rule(
        "tiny-parts-few-rows",
        lambda f: f.rows < SMALL,
        {"ia3": 0.3, "bitfit": 0.3},
        lambda f: f"{f.rows:,} rows: few trained numbers are hard to overfit",
        "Ben Zaken et al. 2022, arXiv:2106.10199; Liu et al. 2022, arXiv:2205.05638",
    ),
    Rule(
        "prompts-want-large-models",
        lambda f: f.parameters < LARGE_MODEL,
        {"prompt": -1, "ptuning": -0.8, "prefix": -0.5},
        lambda f: (
            f"{_millions(f.parameters)} parameters: soft prompts come near full fine-tuning only "
            "in models of billions"
        ),
        "Lester et al. 2021, arXiv:2104.08691, figure 1",
    ),
)

#: What was measured with fewtune. docs/log.md has the tables.
MEASURED: tuple[Rule, ...] = (
    Rule(
        "small-encoder-full",
        lambda f: _small_encoder(f) and f.rows >= NOISY and not _reads_strangely(f),
        {"full": 3, "lora": 2, "adapter": 2.2, "freeze": 1, "bitfit": 1, "ia3": 1, "probe": 1},
        lambda f: (
            f"{_millions(f.parameters)} parameters are few enough to train them all; with MiniLM, "
            "on folds of four data sets of 103 to 640 rows, they came to this beside the probe"
        ),
        "docs/log.md: Rates, passes and the way back; benchmarks/quality",
        "measured",
        numbers={
            "full": "+2.0 points of accuracy, +1.4 on the test rows of five samples of BANKING77",
            "adapter": "+2.7 points and the best log-loss, .072 better",
            "lora": "+1.7 points, log-loss equal",
            "freeze": "+2.4 points with two blocks, log-loss equal",
            "bitfit": "+2.0 points, log-loss .051 better",
            "ia3": "+2.1 points, log-loss .011 better",
        },
    ),
    Rule(
        "soft-prompts-on-small-encoders",
        _small_encoder,
        {"prompt": -2.5, "ptuning": -2.5, "prefix": -2},
        lambda _: "on MiniLM soft prompts did not beat the probe at any rate tried",
        "docs/log.md: Rates, passes and the way back",
        "measured",
        numbers={
            "prompt": "-0.8 points of accuracy, log-loss .081 worse",
            "ptuning": "-0.5 points, log-loss .105 worse",
            "prefix": "+0.4 points, log-loss .033 worse",
        },
    ),
    Rule(
        "very-few-rows",
        lambda f: _labels(f) and f.rows < NOISY,
        {"full": 2.3, "bitfit": 2.2, "adapter": 2.1, "lora": 1.9, "freeze": 1, "probe": 0.5},
        lambda f: (
            f"{f.rows:,} rows: with MiniLM, on 1,000 test rows of SST-2, points of accuracy beside "
            "the probe with 64 rows a class (three samples) and with 8 (four)"
        ),
        "docs/log.md: What the methods gain over the probe",
        "measured",
        numbers={
            "full": "+4.9 and +3.7",
            "adapter": "+6.1 and +2.1",
            "lora": "+5.3 and +1.4",
            "bitfit": "+5.5 and +3.6",
            "freeze": "+2.1 and +0.2",
        },
    ),
    Rule(
        "baselines-stay",
        _labels,
        {"tfidf": 0.8, "probe": 1.2},
        lambda _: (
            "always in the race: seconds of work, and where the model hardly reads the language "
            "n-grams win (MiniLM, Chinese titles of THUCNews with 10 a class, two samples)"
        ),
        "docs/log.md: What the methods gain over the probe",
        "measured",
        numbers={"tfidf": "+11.5 points of accuracy over the probe, log-loss 8.8 % better"},
    ),
    Rule(
        "answers-in-a-foreign-field",
        lambda f: f.writes,
        {
            "full": 1.5,
            "lora": 1.5,
            "freeze": 1,
            "adapter": 0.8,
            "ia3": 0.3,
            "prefix": -0.5,
            "prompt": -1,
            "ptuning": -1,
        },
        lambda _: (
            "nats a token on answers in a field that a small model had never seen (10.2 untouched) "
            "and in one that it knew (4.25)"
        ),
        "docs/log.md: Rates for generation; two models below a million parameters",
        "measured",
        numbers={
            "full": "1.5 and 4.23",
            "freeze": "1.7 and 4.23 with two blocks",
            "lora": "2.0 and 4.23",
            "adapter": "2.9 and 4.24",
            "ia3": "3.2 and 4.24",
            "prefix": "3.7 and 4.26",
            "prompt": "4.4 and 4.25",
            "ptuning": "4.5 and 4.25",
        },
    ),
    Rule(
        "model-does-not-read-this",
        lambda f: _reads_strangely(f) and _labels(f),
        {"tfidf": 6},
        lambda f: (
            f"{f.unknown:.0%} of the tokens are unknown to {f.model}"
            + (f" ({f.chinese:.0%} of the rows are Chinese)" if f.chinese > 0.2 else "")
            + ", so it sees too little of the texts; character n-grams see all of them"
        ),
        "the tokenizer's own count; `fewtune check` rule unknown-tokens",
        "measured",
    ),
)

#: What the user says they need.
WANTED: tuple[Rule, ...] = (
    Rule(
        "modular",
        lambda f: "modular" in f.needs,
        {
            "adapter": 5,
            "lora": 4,
            "ia3": 3,
            "prefix": 2,
            "prompt": 1.5,
            "ptuning": 1.5,
            "full": -4,
            "freeze": -4,
            "bitfit": -4,
            "tfidf": -4,  # no base to share among tasks
        },
        lambda _: "parts to exchange: adapters are apart from the base, a file a task",
        "Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2021, arXiv:2005.00247",
        "need",
    ),
    Rule(
        "switch",
        lambda f: "switch" in f.needs,
        {
            "prefix": 8.5,
            "ptuning": 8,
            "prompt": 7,
            "lora": 3,
            "ia3": 3,
            "adapter": 2,
            "full": -4,
            "freeze": -4,
            "bitfit": -4,
            "tfidf": -4,  # no base to share among tasks
        },
        lambda _: "tasks switched per request: vectors before the text can differ from row to row",
        "Li and Liang 2021, arXiv:2101.00190, section 8; Liu et al. 2021, arXiv:2103.10385",
        "need",
    ),
    Rule(
        "edge",
        lambda f: "edge" in f.needs,
        {
            "tfidf": 4,
            "probe": 3.5,
            "full": 1,
            "lora": 1,
            "freeze": 1.5,
            "bitfit": 1,
            "ia3": 1,
            "adapter": -1,
            "prompt": -2,
            "ptuning": -2,
            "prefix": -2,
        },
        lambda _: (
            "a small machine: what adds nothing at inference (or merges) before added layers and "
            "longer inputs; n-grams need no network at all"
        ),
        "methods/base.py: `merges`; Hu et al. 2021, arXiv:2106.09685, section 4.1",
        "need",
    ),
    Rule(
        "input-only",
        lambda f: "input-only" in f.needs,
        {"text-prompt": 12, "prompt": 9, "ptuning": 8},
        lambda _: (
            "only the input can change: a prompt in words, or learned vectors before the text"
        ),
        "Lester et al. 2021, arXiv:2104.08691",
        "need",
        others=-60,
    ),
)

RULES: tuple[Rule, ...] = (*PRIOR, *MEASURED, *WANTED)


def applying(facts: Facts) -> tuple[Rule, ...]:
    """The rules that apply to a case."""
    return tuple(rule for rule in RULES if rule.when(facts))
