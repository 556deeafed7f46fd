"""The verbs of the language, one file each; `standard_catalogue` walks this package."""
