"""Every sign of trouble: a record that shows it, and one that nearly does and does not."""

import json
import random

import pytest

from fewtune.base.events import Event
from fewtune.record import RunFolder
from fewtune.report import markdown, write_report
from fewtune.report.diagnosis import RULES, as_json, diagnose
from fewtune.report.facts import OUT_OF_FOLD, gather


def score(value, reach=0.02):
    return {"value": value, "low": value - reach, "high": value + reach}


@pytest.fixture
def record(tmp_path):
    """A run's record with these losses, rows and scores; by default a good one."""

    def make(
        losses=None, rows=(), events=(), plan=None, held=0.4, norm=1.0, rate=1e-4, labels=(),
        out_of_fold=(), **scores,
    ):  # fmt: skip
        folder = RunFolder.create(
            tmp_path / f"run{len([*tmp_path.iterdir()])}",
            {"name": "run", "task": "classify", "train": {"class_weights": "none"}, **(plan or {})},
        )
        losses = falling() if losses is None else losses
        for step, loss in enumerate(losses, 1):
            told = {"step": step, "steps": len(losses), "loss": loss}
            folder.append(Event("step", {**told, "grad_norm": norm, "learning_rate": rate}, 1.0))
        for name, fields in events:
            folder.append(Event(name, fields, 2.0))
        asked = scores.pop("answered", None)
        answered = {} if asked is None else {"answered": asked}
        known = {
            "task": "classify", "method": "full", "primary": "accuracy", "verdict": "It worked.",
            "rows": {"kept": 100, "train": 80, "test": 20, "truncated": 0} | answered,
            "test": {"accuracy": score(0.85), "log_loss": score(held)},
            "baselines": {"majority": {"accuracy": score(0.2), "log_loss": score(2.3)}},
            "gain": {},
        }  # fmt: skip
        folder.write_predictions(rows)
        folder.write_data({"labels": [*labels]})
        if out_of_fold:
            place = folder.path / OUT_OF_FOLD
            place.parent.mkdir()
            place.write_text("\n".join(map(json.dumps, out_of_fold)), encoding="utf-8")
        folder.write_scores(known | scores)
        folder.append(Event("finished", {}, 3.0))
        folder.close()
        return gather(folder)

    return make


def falling(steps=100, start=2.0, end=0.3, chance=0):
    """A loss that falls and flattens."""
    noise = random.Random(chance)
    return [end + (start - end) * 0.93**k + noise.gauss(0, 0.02) for k in range(steps)]


def row(label, said, shares, line=2, **more):
    return {
        "label": label, "prediction": said, "probability": shares, "text": "t",
        "origin": f"维修.csv:{line}", **more,
    }  # fmt: skip


def codes(facts):
    return [one.code for one in diagnose(facts)]


def test_a_good_run_shows_no_sign(record):
    facts = record(rows=[row("a", "a", {"a": 0.9, "b": 0.1}, k) for k in range(30)])
    assert codes(facts) == []
    assert "What stands out" not in write_report(facts.folder).read_text(encoding="utf-8")


def test_a_method_without_steps_has_no_curve_to_judge(record):
    assert codes(record(losses=[])) == []


def test_no_gradient_or_no_rate_is_frozen(record):
    flat = [2.0] * 30
    assert "frozen" in codes(record(losses=flat, norm=0.0))
    assert "frozen" in codes(record(losses=flat, rate=0.0))
    assert "frozen" not in codes(record(losses=flat, norm=1e-6))


def shifts(**parts):
    """The scores of a run whose parts moved by so much; in a pair, whether gradients came."""
    pairs = {name: one if isinstance(one, tuple) else (one, True) for name, one in parts.items()}
    moved = {
        name: {"change": change, "from_zero": False, "gradient": gradient}
        for name, (change, gradient) in pairs.items()
    }
    return {"train": {"tokens": 9, "moved": moved}}


def test_a_part_that_did_not_move_is_frozen_whatever_the_other_did(record):
    (sign,) = diagnose(
        record(plan={"options": {"learning_rate": 1e-12}}, **shifts(full=3.2e-10, head=0.1))
    )
    assert sign.code == "frozen"
    assert sign.said == "In 100 steps nothing moved of `full` (3e-10 of its size)."
    assert sign.do.startswith("Leave out --learning_rate")
    (sign,) = diagnose(
        record(plan={"options": {"head_learning_rate": 1e-12}}, **shifts(full=0.1, head=0.0))
    )
    assert "nothing moved of the head (0 of its size)" in sign.said
    assert sign.do.startswith("Leave out --head_learning_rate")
    (sign,) = diagnose(record(**shifts(lora=(1e-4, False), adapter=0.1, head=0.1)))  # by decay
    assert sign.said == "No gradient reached `lora` in any of 100 steps, while the rest trained."
    assert codes(record(**shifts(lora=1e-3, head=1e-5))) == []  # the least that rates in use move


def test_what_did_not_move_did_not_move_too_much(record):
    gain = {"all": {"probe": {**score(-0.08, 0.03), "p": 0.001}}}
    assert codes(record(gain=gain, **shifts(full=0.0, head=0.0))) == ["frozen"]
    (sign,) = diagnose(record(gain=gain, **shifts(full=0.031, head=1.2)))
    assert sign.said.startswith(
        "Training moved the model away from what it knew (the weights of `full` by 3.1 % and the "
        "head by 120 %): 8.0 points worse than probe"
    )
    recall = {"change": score(0.6, 0.05), "before": score(3.0)}
    (sign,) = diagnose(record(recall=recall, **shifts(lora=0.5)))
    assert sign.said.startswith("Much was forgotten (the weights of `lora` by 50 %): the loss")
    zero = shifts(lora=0.5)
    zero["train"]["moved"]["lora"]["from_zero"] = True
    (sign,) = diagnose(record(recall=recall, **zero))
    assert sign.said.startswith("Much was forgotten: the loss")


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        (falling(50) + [None] * 2, "no number in 2 steps"),
        (falling(60) + [0.3 + 0.05 * k for k in range(60)], "rose again"),
        ([9.0 if k in (50, 70) else one for k, one in enumerate(falling())], "jumped in 2 of 100"),
    ],
)
def test_a_loss_that_rises_jumps_or_is_no_number_is_a_rate_too_high(record, losses, said):
    (sign,) = [one for one in diagnose(record(losses=losses)) if one.code == "rate-too-high"]
    assert said in sign.said
    assert "--learning_rate" in sign.do


def test_one_jump_or_noise_is_no_rate_too_high(record):
    once = [9.0 if k == 50 else one for k, one in enumerate(falling())]
    noise = random.Random(1)
    noisy = [0.5 + noise.expovariate(4) for _ in range(100)]
    assert "rate-too-high" not in codes(record(losses=once))
    assert "rate-too-high" not in codes(record(losses=noisy))


def test_steady_losses_of_few_steps_seldom_rise_by_chance(record):
    noise = random.Random(2)
    runs = [[max(0.05, noise.gauss(0.5, 0.15)) for _ in range(30)] for _ in range(40)]
    assert sum("rate-too-high" in codes(record(losses=one)) for one in runs) <= 2


def test_a_loss_that_still_falls_steeply_wants_more_steps(record):
    straight = [2.0 - 0.012 * k for k in range(100)]
    (sign,) = [one for one in diagnose(record(losses=straight)) if one.code == "too-few-steps"]
    assert "from 1.03 to 0.88" in sign.said
    assert "too-few-steps" not in codes(record(losses=falling()))
    assert "too-few-steps" not in codes(record(losses=[2.0 * 0.9**k for k in range(100)]))
    known = record(losses=[0.5 - 0.0037 * k for k in range(100)], held=0.6)
    assert codes(known) == ["too-few-steps"]
    by_heart = record(losses=[0.5 - 0.0037 * k for k in range(100)], held=2.0)
    assert codes(by_heart) == ["overfitting"]  # which wants fewer


def asked(steps, usual=36, method="full", stopped=False, **given):
    """The record of a run that was told how long it should be, and of what it would have been."""
    default = {"rows": 96, "epochs": usual / 6, "steps": usual}
    events = [("planned", {"method": method, "usual": default})]
    events += [("stopped", {"step": steps, "reason": "..."})] if stopped else []
    return {"losses": falling(steps), "plan": {"options": given}, "events": events}


def test_far_fewer_steps_than_the_default_are_told_though_they_make_no_curve(record):
    (sign,) = diagnose(record(**asked(8, max_steps=8)))
    assert sign.code == "too-few-steps"
    assert sign.said == (
        "8 steps are 1.3 passes over 96 rows, where the measured default of `full` is 6 passes "
        "(36 steps)."
    )
    assert sign.do == "Leave out --max_steps."
    (sign,) = diagnose(record(**asked(1, num_train_epochs=0.1)))
    assert sign.said.startswith("1 step is 0.17 passes over 96 rows")
    assert sign.do == "Leave out --num_train_epochs."
    (sign,) = diagnose(record(**asked(8, max_steps=8), **written()))
    assert "where the default of `full`" in sign.said  # which nobody measured on answers


def test_steps_are_not_too_few_where_nobody_asked_or_the_run_ended_by_itself(record):
    assert codes(record(**asked(8))) == []
    assert codes(record(**asked(18, max_steps=18))) == []
    assert codes(record(**asked(8, max_steps=400, stopped=True))) == []
    assert codes(record(**asked(0, max_steps=8))) == []  # a method without steps
    assert codes(record(**asked(100, usual=300, max_steps=100))) == []  # and all was learned
    slow = asked(100, usual=300, max_steps=100) | {"losses": falling(start=0.5)}
    assert codes(record(**slow)) == ["too-few-steps"]


def test_who_is_to_train_less_is_not_told_that_steps_are_too_few(record):
    gain = {"all": {"probe": {**score(-0.08, 0.03), "p": 0.001}}}
    assert codes(record(**asked(8, max_steps=8), gain=gain)) == ["moved-too-much"]
    rose = [
        ("validated", {"step": 2 * k, "scores": {"log_loss": one}})
        for k, one in enumerate([0.5, 0.6, 0.9], 1)
    ]
    given = asked(8, max_steps=8)
    assert codes(record(**given | {"events": given["events"] + rose})) == ["overfitting"]


def test_more_steps_are_asked_for_by_the_option_that_decides_them(record):
    straight = [2.0 - 0.012 * k for k in range(100)]
    (sign,) = diagnose(record(losses=straight, plan={"options": {"max_steps": 100}}))
    assert "twice the --max_steps" in sign.do
    (sign,) = diagnose(record(losses=straight))
    assert "twice the --num_train_epochs" in sign.do


def test_rows_known_by_heart_are_overfitting_unless_others_are_right_too(record):
    learned = falling(end=0.02)
    assert "overfitting" in codes(record(losses=learned, held=0.9))
    assert "overfitting" not in codes(record(losses=falling(end=0.4), held=0.9))
    sure = {"accuracy": score(0.97), "log_loss": score(0.3)}
    assert "overfitting" not in codes(record(losses=learned, test=sure))
    smooth = {"train": {"label_smoothing_factor": 0.1}}
    assert "overfitting" not in codes(record(losses=learned, held=0.9, plan=smooth))


def test_a_validation_loss_that_rose_again_is_overfitting(record):
    def seen(*losses):
        return [
            ("validated", {"step": 10 * (k + 1), "scores": {"log_loss": one}})
            for k, one in enumerate(losses)
        ]

    (sign,) = diagnose(record(events=seen(0.9, 0.5, 0.6, 0.8)))
    assert "lowest at step 20 (0.500) and 0.800 at the end" in sign.said
    assert codes(record(events=seen(0.9, 0.5, 0.52, 0.51))) == []
    assert codes(record(events=seen(0.5, 0.8))) == []
    kept = [*seen(0.9, 0.5, 0.6, 0.8), ("trained", {"best_step": 20})]
    assert codes(record(events=kept)) == []  # it was done already


def test_training_rows_that_were_hardly_learned_are_underfitting(record):
    assert "underfitting" in codes(record(losses=falling(start=2.3, end=2.0), held=2.1))
    assert "underfitting" not in codes(record(losses=falling(start=2.3, end=0.9), held=1.0))
    # two classes that nobody tells apart in more than four of five rows
    noisy = {
        "losses": falling(start=0.69, end=0.46),
        "baselines": {"majority": {"accuracy": score(0.5), "log_loss": score(0.69)}},
    }
    for high, learned in ((0.55, True), (0.68, False)):
        loss = score(0.5) | {"high": high}
        found = codes(record(test={"accuracy": score(0.79), "log_loss": loss}, **noisy))
        assert ("underfitting" not in found) == learned


LABELS = [f"标签{k}" for k in range(8)]


def sets(**blocks):
    """What a run of several labels a row knows: its labels, and scores that are means over them."""
    return {
        "task": "multilabel", "primary": "micro_f1", "labels": LABELS,
        "test": {"micro_f1": score(0.7), "log_loss": score(0.15)},
        "baselines": {"majority": {"micro_f1": score(0.2), "log_loss": score(0.35)}},
    } | blocks  # fmt: skip


def test_rows_of_several_labels_known_by_heart_are_overfitting(record):
    (sign,) = diagnose(record(losses=falling(end=0.08), **sets()))  # 0.01 a label
    assert sign.code == "overfitting"
    assert "(loss 0.010 a label at the end) and others are not (0.150 on" in sign.said
    assert codes(record(losses=falling(end=0.6), **sets())) == []
    found = {"micro_f1": score(0.97), "log_loss": score(0.15)}
    assert codes(record(losses=falling(end=0.08), **sets(test=found))) == []
    near = {
        "micro_f1": score(0.9),
        "log_loss": score(0.03),
    }  # 0.24 a row, and 0.16 more than nought
    assert codes(record(losses=[0.04] * 100, **sets(test=near))) == []
    assert codes(record(losses=falling(end=0.08), **sets(labels=()))) == []


def test_rows_of_several_labels_that_were_hardly_learned_are_underfitting(record):
    poor = {"micro_f1": score(0.1), "log_loss": score(0.34)}
    (sign,) = diagnose(record(losses=falling(start=2.9, end=2.6), **sets(test=poor)))
    assert sign.code == "underfitting"
    assert "their loss ended at 0.33 a label, where knowing only the shares gives 0.35" in sign.said
    assert codes(record(losses=falling(start=2.9, end=1.2), **sets())) == []


def folds(*right, of=60):
    shares = {"a": 0.6, "b": 0.4}
    return [
        row("a", "a" if k < hits else "b", shares, fold=number)
        for number, hits in enumerate(right, 1)
        for k in range(of)
    ]


def test_folds_that_disagree_more_than_chance_are_unstable(record):
    (sign,) = diagnose(record(rows=folds(57, 55, 30, 56, 57)))
    assert sign.code == "unstable"
    assert "50 to 95 % are right" in sign.said
    assert codes(record(rows=folds(54, 50, 52, 49, 55))) == []
    assert codes(record(rows=folds(60, 60, 60))) == []


def test_folds_that_disagree_though_groups_are_apart_want_more_groups(record):
    plan = {"data": {"group": "机器"}}
    (sign,) = diagnose(record(rows=folds(57, 55, 30, 56, 57), plan=plan))
    assert "different values of 机器" in sign.do
    assert "--group" not in sign.do


def test_folds_of_a_race_are_unstable_though_others_are_the_test_rows(record):
    tested = [row("a", "a", {"a": 0.6, "b": 0.4}, k) for k in range(30)]
    (sign,) = diagnose(record(rows=tested, out_of_fold=folds(57, 55, 30, 56, 57)))
    assert sign.code == "unstable"
    assert "50 to 95 % are right" in sign.said
    assert codes(record(rows=tested, out_of_fold=folds(54, 50, 52, 49, 55))) == []


def test_folds_of_several_labels_are_right_where_the_whole_set_is(record):
    def several(*right):
        return [
            one
            | {"label": ["a", "b"], "prediction": ["b", "a"] if one["prediction"] == "a" else []}
            for one in folds(*right)
        ]

    assert codes(record(out_of_fold=several(57, 55, 30, 56, 57))) == ["unstable"]
    assert codes(record(out_of_fold=several(54, 50, 52, 49, 55))) == []


def raced(low, state="out of time"):
    own = {"name": "probe", "state": "chosen", "folds": 5, "seconds": 1.0}
    late = {"name": "lora", "state": state, "folds": 2, "seconds": 60.0, "gain": 0.1, "low": low}
    table = {"what": "methods", "table": [own, late], "kept": True}
    return {"chosen": {"race": {"winner": "probe", "budget": 120.0}, "trials": [table]}}


def test_a_candidate_ahead_when_time_ran_out_wants_a_longer_race(record):
    (sign,) = diagnose(record(plan=raced(low=0.02)))
    assert sign.code == "out-of-time"
    assert "`lora` was ahead of `probe`" in sign.said
    assert sign.do == "Give the race more time: --budget 7m."  # 120 + 3 * 60 + 75 s
    assert codes(record(plan=raced(low=-0.02))) == []
    assert codes(record(plan=raced(low=0.02, state="tied"))) == []


def test_labels_contradicted_with_confidence_are_named_by_file_and_line(record):
    good = [row("泵", "泵", {"泵": 0.9, "门": 0.1}, k) for k in range(2, 30)]
    doubted = row("泵", "门", {"泵": 0.004, "门": 0.996}, 4711)
    (sign,) = diagnose(record(rows=[*good, doubted]))
    assert sign.code == "label-noise"
    assert "维修.csv:4711 (泵, or 门?)" in sign.said
    assert "1 label of 29 is contradicted" in sign.said
    unsure = row("泵", "门", {"泵": 0.2, "门": 0.8}, 4711)
    assert codes(record(rows=[*good, unsure])) == []


def test_many_doubted_labels_are_counted_and_few_are_named(record):
    rows = [row("a", "b", {"a": 0.001, "b": 0.999}, k) for k in range(20)]
    rows += [row("b", "b", {"a": 0.1, "b": 0.9}, k) for k in range(380)]
    (sign,) = [one for one in diagnose(record(rows=rows)) if one.code == "label-noise"]
    assert "20 labels of 400 are contradicted" in sign.said
    assert "and 15 more" in sign.said


def test_doubtful_labels_of_training_rows_are_told_where_others_are_the_test_rows(record):
    tested = [row("泵", "泵", {"泵": 0.9, "门": 0.1}, k) for k in range(30)]
    learned = [row("泵", "泵", {"泵": 0.9, "门": 0.1}, k, fold=1 + k % 5) for k in range(79)]
    learned.append(row("泵", "门", {"泵": 0.004, "门": 0.996}, 4711, fold=1))
    facts = record(rows=tested, out_of_fold=learned)
    (sign,) = diagnose(facts)
    assert sign.code == "label-noise"
    assert "1 label of 80 training rows is contradicted" in sign.said
    assert "维修.csv:4711 (泵, or 门?)" in sign.said
    assert "维修.csv:4711 (泵, or 门?)" in markdown(facts.folder)
    assert "维修.csv:4711 (泵, or 门?)" in write_report(facts.folder).read_text(encoding="utf-8")
    both = record(rows=[*tested, learned[-1]], out_of_fold=learned)
    assert [one.said.split(" is ")[0] for one in diagnose(both)] == [
        "1 label of 80 training rows",
        "1 label of 31 test rows",
    ]


def test_right_labels_that_are_rare_beside_their_text_are_no_noise(record):
    """Of answers as sure as they are right a few are wrong, and a model knows how many."""
    draw, told = random.Random(0), 0
    for _ in range(40):
        rows = []
        for k in range(600):
            shares = {"a": 0.985, **dict.fromkeys("bcd", 0.005)}
            (truth,) = draw.choices([*shares], [*shares.values()])
            rows.append(row(truth, "a", shares, k))
        told += "label-noise" in codes(record(rows=rows))
    assert told <= 2  # each has about nine of them
    wrong = [row("b", "a", shares, k) for k in range(15)]
    (sign,) = [one for one in diagnose(record(rows=[*rows, *wrong])) if one.code == "label-noise"]
    assert "where 9.2 would be if all were right" in sign.said


def test_answers_out_of_fold_that_cannot_be_read_are_none(record):
    facts = record(out_of_fold=folds(57, 55, 30))
    (facts.folder.path / OUT_OF_FOLD).write_text('{"fold": 1}\n{"fo', encoding="utf-8")
    assert gather(facts.folder).out_of_fold == []


def test_a_model_that_is_surer_than_it_is_right_contradicts_nobody(record):
    rows = [row("a", "b", {"a": 0.001, "b": 0.999}, k) for k in range(20)]
    rows += [row("b", "b", {"a": 0.001, "b": 0.999}, k) for k in range(40)]
    assert "label-noise" not in codes(record(rows=rows))


def test_the_same_answer_to_every_row_is_a_sign_unless_the_truth_is_one_sided(record):
    shares = {"a": 0.6, "b": 0.4}
    half = [row("ab"[k % 2], "a", shares, k) for k in range(40)]
    assert codes(record(rows=half)) == ["one-answer"]
    rare = [row("b" if k == 0 else "a", "a", shares, k) for k in range(40)]
    assert codes(record(rows=rare)) == []


@pytest.mark.parametrize(("given", "told"), [(["泵", "门"], "'泵, 门'"), ([], "no label")])
def test_the_same_labels_to_every_row_are_a_sign_too(record, given, told):
    half = [row(given if k % 2 else ["阀"], given[::-1], {}, k) for k in range(40)]
    (sign,) = diagnose(record(rows=half, **sets()))
    assert sign.code == "one-answer"
    assert f"40 of 40 rows are given {told}, which 20 have" in sign.said
    rare = [row(given if k else ["阀"], given, {}, k) for k in range(40)]
    assert codes(record(rows=rare, **sets())) == []


def test_many_cut_rows_and_answers_that_do_not_end_are_suspects(record):
    counts = {"kept": 100, "train": 80, "test": 20}
    cut = record()
    cut.scores["rows"] = counts | {"truncated": 30}
    assert codes(cut) == ["format"]
    cut.scores["rows"] = counts | {"truncated": 5}
    assert codes(cut) == []
    assert codes(record(events=[("encoded", {"ends": 0.8})])) == ["format"]
    assert codes(record(events=[("encoded", {"ends": 1.0})])) == []


def test_a_model_worse_than_its_own_probe_moved_too_much(record):
    def over(value, p):
        return {"all": {"probe": {**score(value, 0.03), "p": p}}}

    (sign,) = diagnose(record(gain=over(-0.08, 0.001)))
    assert sign.code == "moved-too-much"
    assert "8.0 points worse than probe" in sign.said
    assert codes(record(gain=over(-0.02, 0.3))) == []
    hardly = codes(record(losses=falling(end=2.0), held=2.1, gain=over(-0.08, 0.001)))
    assert hardly == ["underfitting"]
    assert codes(record(losses=[], gain=over(-0.08, 0.001))) == []


def test_general_texts_that_became_unlikely_moved_too_much(record):
    def recall(change):
        return {"change": score(change, 0.05), "before": score(3.0)}

    (sign,) = diagnose(record(recall=recall(0.6)))
    assert sign.code == "moved-too-much"
    assert "rose from 3.00 by 0.60 (0.55 to 0.65)" in sign.said
    assert codes(record(recall=recall(0.1))) == []


def test_page_text_and_scores_tell_the_signs_with_what_to_do(record):
    rows = [row("<泵>", "门", {"<泵>": 0.001, "门": 0.999}, k) for k in range(3)]
    rows += [row("门", "门", {"<泵>": 0.001, "门": 0.999}, k) for k in range(40)]
    facts = record(rows=rows)
    page = write_report(facts.folder).read_text(encoding="utf-8")
    assert "What stands out, and what to do next" in page
    assert "Read these rows" in page
    assert "&lt;泵&gt;" in page
    assert "<泵>" not in page
    assert "Read these rows" in markdown(facts.folder)
    (told,) = as_json(diagnose(facts))
    assert told["code"] == "label-noise"
    assert told["do"].startswith("Read these rows")


def written(**blocks):
    """Scores of a model that writes; by default good ones."""
    own = {"loss": score(1.0), "repetition": score(0.03), "length_ratio": score(1.0, 0.1)}
    nearest = {"repetition": score(0.02)}
    before = {"loss": score(3.0), "repetition": score(0.4)}
    return {
        "task": "generate", "primary": "loss", "test": own | blocks.pop("own", {}),
        "baselines": {"before": before, "nearest": nearest},
        "answered": 20,
        "gain": {"over": "before", **score(2.0, 0.1), "all": {"before": score(2.0, 0.1)}},
    } | blocks  # fmt: skip


def test_answers_that_are_good_show_no_sign(record):
    assert codes(record(**written())) == []
    # of the untouched model it is no wonder
    assert codes(record(**written(own={"repetition": score(0.11)}))) == []


def test_answers_that_repeat_themselves_more_than_peoples_are_a_sign(record):
    (sign,) = diagnose(record(**written(own={"repetition": score(0.31)})))
    assert sign.code == "repeats"
    assert "31% of their phrases stood there before (29.0 to 33.0 %), and 2%" in sign.said
    assert "--repetition_penalty" in sign.do


@pytest.mark.parametrize(
    ("ratio", "said", "do"),
    [(0.2, "too short", "--max_new_tokens"), (4.0, "too long", "--stop")],
)
def test_answers_far_shorter_or_longer_than_their_references_are_a_sign(record, ratio, said, do):
    (sign,) = diagnose(record(**written(own={"length_ratio": score(ratio, 0.1)})))
    assert sign.code == "answer-length"
    assert said in sign.said
    assert do in sign.do
    assert codes(record(**written(own={"length_ratio": score(ratio, 0.1)}, answered=4))) == []


def test_likelier_references_and_worse_answers_are_a_sign(record):
    def gains(value, p=0.001):
        return {"rougeL": {"all": {"before": {**score(value), "p": p}}}}

    (sign,) = diagnose(record(**written(gains=gains(-0.12))))
    assert sign.code == "writes-worse"
    assert "12.0 points ROUGE-L" in sign.said
    assert codes(record(**written(gains=gains(0.12)))) == []
    assert codes(record(**written(gains=gains(-0.12, p=0.2)))) == []


def test_the_same_long_answer_to_every_question_is_told_in_short(record):
    long = "打开阀门" * 50
    rows = [{"label": f"答案 {k}", "prediction": long, "text": "t"} for k in range(30)]
    (sign,) = diagnose(record(rows=rows, **written()))
    assert sign.code == "one-answer"
    assert len(sign.said) < 150
    assert "--map" in sign.do


def test_a_model_that_writes_gives_no_answer_and_not_no_label(record):
    rows = [{"label": f"答案 {k}", "prediction": "", "text": "t"} for k in range(24)]
    (sign,) = diagnose(record(rows=rows, **written()))
    assert "24 of 24 rows are given no answer" in sign.said


def test_a_tuned_model_worse_than_before_is_to_learn_less(record):
    worse = {"over": "before", **score(-0.3, 0.1)}
    gain = worse | {"all": {"before": {**score(-0.3, 0.1), "p": 0.001}}}
    (sign,) = diagnose(record(**written(gain=gain)))
    assert sign.code == "moved-too-much"
    assert "fewer --num_train_epochs" in sign.do


def test_all_rules_are_under_test():
    assert len(RULES) == 16


def test_dialogues_are_not_told_that_their_end_was_cut(record):
    counts = {"kept": 100, "train": 80, "test": 20, "truncated": 30}
    texts, talks = record(), record(**written())
    texts.scores["rows"], talks.scores["rows"] = counts, counts | {"answered": 20}
    (sign,) = diagnose(texts)
    assert "cut at the end" in sign.said
    assert "to the front of the text" in sign.do
    (sign,) = diagnose(talks)
    assert "lost their oldest turns" in sign.said
    assert "front" not in sign.do
