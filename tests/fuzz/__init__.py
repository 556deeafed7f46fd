"""Differential fuzzing: random networks through random recipes, judged by an interpreter that shares no code with TVM.

A seed gives a `Network` (`grow`, `moves`) and a `Ruleset` (`rules`); `properties.check` converts the one by the other
and asks everything that must hold. What breaks is shrunk (`shrink`) and printed. `python -m fuzz` runs many
(`campaign`).
"""
