"""report.html of a run: the page, its look, and what each part of it tells."""

from speciale.evals.report.page import write_report

__all__ = ["write_report"]
