"""What is told of a run that learned to answer: signs of trouble."""

from fewtune.report.diagnosis import as_json, diagnose
from fewtune.report.facts import gather


def test_signs_stand_in_the_scores_as_the_report_tells_them(taught):
    told = taught.scores["diagnosis"]
    assert told == as_json(diagnose(gather(taught.folder)))
    assert all({"code", "message", "do"} == one.keys() for one in told)
