"""What more rows would bring, on the page and in the text."""

from fewtune.report import markdown, write_report

POINTS = [
    {"rows": n, "value": v, "low": v - 0.05, "high": v + 0.05}
    for n, v in ((60, 0.7), (120, 0.8), (180, 0.84), (240, 0.86))
]
SAID = "200 more rows would bring about +1.2 points (0.3 to 2.0) of accuracy, by `full`."


def with_curve(folder, **curve):
    plan = folder.plan
    plan["chosen"]["learning_curve"] = {"method": "full", "said": SAID, "points": POINTS} | curve
    folder.write_plan(plan)
    return write_report(folder).read_text(encoding="utf-8")


def test_the_curve_is_drawn_with_its_sentence(twelve):
    fitted = [one | {"rows": one["rows"] + 100} for one in POINTS]
    page = with_curve(twelve, fitted=fitted)
    assert "What more rows would bring" in page
    assert "200 more rows would bring about" in page
    assert 'aria-label="learning curve"' in page
    assert "and the fitted curve" in page
    assert "after learning 60, 120, 180 and 240 rows of the other folds" in page
    assert "200 more rows would bring about" in markdown(twelve)
    assert "<td><code>learning_curve</code></td>" not in page


def test_a_curve_without_a_law_shows_what_was_measured(twelve):
    page = with_curve(twelve, said="No learning curve can be fitted.")
    assert 'aria-label="learning curve"' in page
    assert "and the fitted curve" not in page


def test_a_curve_that_was_too_dear_is_a_sentence_without_a_picture(twelve):
    page = with_curve(twelve, said="No learning curve was measured.", points=[])
    assert "No learning curve was measured." in page
    assert 'aria-label="learning curve"' not in page
    assert "Dots are the share" not in page


def test_a_run_without_one_says_nothing(twelve):
    assert "What more rows" not in write_report(twelve).read_text(encoding="utf-8")


def test_a_curve_of_several_labels_is_one_of_f1(twelve):
    page = with_curve(twelve, metric="micro_f1", fitted=POINTS)
    assert "micro F1 by training rows, and the fitted curve" in page
    assert "Dots are F1 of all labels of all rows together" in page
    assert "The dashed line is error = a" in page


def test_a_loss_is_drawn_in_nats_and_may_be_above_one(twelve):
    points = [
        {"rows": n, "value": v, "low": v - 0.1, "high": v + 0.1}
        for n, v in ((12, 3.2), (24, 2.6), (36, 2.3), (48, 2.2))
    ]
    page = with_curve(twelve, metric="loss", points=points)
    assert "loss in nats a token by training rows" in page
    assert "The dashed line is loss = a" in page
    picture = page[page.index('aria-label="learning curve"') :].partition("</svg>")[0]
    assert ">2.5</text>" in picture
    assert "%</text>" not in picture
