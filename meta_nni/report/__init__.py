"""The report of a run: one HTML page that needs nothing else, for people.

It shows what `meta-nni explain` prints, drawn: no script, no request, light and dark.
"""

from meta_nni.report.file import ReportError, leave_report, report_path, write_report
from meta_nni.report.page import render

__all__ = ["ReportError", "leave_report", "render", "report_path", "write_report"]
