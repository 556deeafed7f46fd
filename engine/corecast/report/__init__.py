"""What people see: tables and progress on a terminal, plain lines in a pipe."""

from corecast.report.console import Reporter
from corecast.report.tables import counts_table, layers_table, rows_table

__all__ = ["Reporter", "counts_table", "layers_table", "rows_table"]
