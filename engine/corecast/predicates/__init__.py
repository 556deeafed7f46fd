"""The words of conditions, one family a file; `standard_catalogue` walks this package."""
