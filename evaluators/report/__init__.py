"""The static report of a run: one index page, and a page for each unit, behaviour and ladder.

`report_data` takes a run's tables, `write_report` writes pages
from them and `write_figures` pictures; nothing here computes a score.
"""

from scrutable.evaluators.report.data import ReportData
from scrutable.evaluators.report.figures import write_figures
from scrutable.evaluators.report.from_run import report_data
from scrutable.evaluators.report.pages import write_report

__all__ = ["ReportData", "report_data", "write_figures", "write_report"]
