"""What people see: tables and progress on a terminal, plain lines in a pipe."""

from corecast.report.cases import cases_page
from corecast.report.console import Reporter
from corecast.report.tables import counts_table, layers_table, rows_table

__all__ = ["Reporter", "cases_page", "counts_table", "layers_table", "rows_table"]
