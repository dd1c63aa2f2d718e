"""Rank 10: the report, a function of a run folder."""

from fewtune.report.card import model_card
from fewtune.report.markdown import markdown
from fewtune.report.page import write_report

__all__ = ["markdown", "model_card", "write_report"]
