"""A range of seeds in, findings out: shrunk, printed and kept. `python -m fuzz` and the tests run it.

Every case is made from its seed alone, so a range can be cut anywhere and gone on with later.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fuzz.expectations import known
from fuzz.grow import grow
from fuzz.network import Network, build
from fuzz.properties import Broken, Case, Outcome, Twin, check
from fuzz.rules import Ruleset, write
from fuzz.samples import TvmFault, sampled
from fuzz.shrink import live, shrink

# One case in so many also goes through TVM's compiler and over a disk, and one in so many is planned elsewhere too.
SAMPLE = 50
ELSEWHERE = 4


@dataclass(frozen=True)
class Finding:
    """A seed whose case breaks a property: which one, and the smallest case that was found to do the same."""

    seed: int
    kind: str
    message: str
    script: str = ""
    rules: str = ""

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.kind}\n{self.message}\n\n{self.script}\n{self.rules}"


@dataclass
class Tally:
    """What became of the cases of a range."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        self.findings += other.findings


def case(seed: int) -> tuple[Network, Ruleset]:
    """The network and the recipe of a seed."""
    net = grow(seed)
    return net, write(seed, [step.op for step in live(net).steps])


def campaign(seeds: Iterable[int], twin: Twin | None = None, sample: int = SAMPLE, seconds: float = 60.0) -> Tally:
    """Check the cases of some seeds; findings are shrunk for so many seconds each."""
    tally = Tally()
    for seed in seeds:
        net, rules = case(seed)
        more = sampled if sample and seed % sample == 0 else None
        try:
            outcome = check(net, rules, None if seed % ELSEWHERE else twin, more)
        except TvmFault as fault:
            tally.outcomes[f"TVM cannot compile the original: {_kind(fault)}"] += 1
        except Exception as error:
            if reason := known(error):
                tally.outcomes[f"known: {reason}"] += 1
                continue
            tally.outcomes["broken"] += 1
            tally.findings.append(finding(seed, net, rules, error, more is not None, seconds))
        else:
            tally.outcomes[outcome.kind] += 1
            tally.outcomes["sampled"] += more is not None
            tally.outcomes["telling"] += outcome.is_telling
    return tally


def finding(seed: int, net: Network, rules: Ruleset, error: Exception, is_sampled: bool, seconds: float) -> Finding:
    """A failure, shrunk to the smallest case of the same kind."""
    kind = _kind(error)
    more = sampled if is_sampled and not _fails(net, rules, kind, None) else None
    small = shrink(net, rules, lambda fewer, less: _fails(fewer, less, kind, more), seconds)
    message = str(error)
    try:
        check(*small, None, more)
    except Exception as last:
        message = str(last)
    return Finding(seed, kind, message[-3000:], _script(small[0]), str(small[1]))


def _fails(net: Network, rules: Ruleset, kind: str, more: object) -> bool:
    build(net)  # what cannot be built is no case at all
    try:
        check(net, rules, None, more)  # type: ignore[arg-type]
    except Exception as error:
        return _kind(error) == kind
    return False


def _kind(error: Exception) -> str:
    """What failures are told apart by: a property's name, or an exception and its last line without numbers."""
    if isinstance(error, Broken):
        return re.sub(r"#-?\d+", "", error.name)
    lines = [line for line in str(error).strip().splitlines() if not line.startswith("  help")]
    return f"{type(error).__name__}: " + re.sub(r"\S*\d\S*", "N", (lines or [""])[-1])[:120]


def _script(net: Network) -> str:
    module = build(net)
    main = module["main"].without_attr("params")
    module.update_func(module.get_global_var("main"), main)
    return module.script(show_meta=False)


__all__ = ["SAMPLE", "Case", "Finding", "Outcome", "Tally", "campaign", "case"]
