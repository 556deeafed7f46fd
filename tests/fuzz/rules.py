"""A seed and a network's operators in, a random recipe out: as clauses that a shrinker can take away one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

CONVOLUTIONS = {"nn.conv1d": ("NCW", "OIW"), "nn.conv2d": ("NCHW", "OIHW"), "nn.conv3d": ("NCDHW", "OIDHW")}
USUAL = {
    "nn.conv1d": ["NWC", "NWC kernel WIO", "NCW"],
    "nn.conv2d": ["NHWC", "NHWC", "NHWC kernel HWIO", "HWNC", "HWNC", "NCHW"],
    "nn.conv3d": ["NDHWC", "NDHWC kernel DHWIO", "NCDHW"],
}

# Steps that call no operator, and the operator whose name is a word of the language.
NOT_OPERATORS = ("item", "tuple", "alias", "where")


@dataclass(frozen=True)
class Rule:
    """`match` is a selector, `clauses` are requests and what else stands in the rule, a line each."""

    name: str
    match: str
    clauses: tuple[str, ...]


@dataclass(frozen=True)
class Ruleset:
    """`heads` are lets and skips."""

    heads: tuple[str, ...]
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        lines = list(self.heads)
        for rule in self.rules:
            lines += ["", f"rule {rule.name}", f"  match {rule.match}", *(f"  {clause}" for clause in rule.clauses)]
        return "\n".join(lines) + "\n"

    def smaller(self) -> Iterator[Ruleset]:
        """This recipe with one thing less."""
        for place in range(len(self.rules)):
            yield replace(self, rules=self.rules[:place] + self.rules[place + 1 :])
        for place in range(len(self.heads)):
            yield replace(self, heads=self.heads[:place] + self.heads[place + 1 :])
        for place, rule in enumerate(self.rules):
            before, after = self.rules[:place], self.rules[place + 1 :]
            for line in range(len(rule.clauses)):
                fewer = replace(rule, clauses=rule.clauses[:line] + rule.clauses[line + 1 :])
                yield replace(self, rules=(*before, fewer, *after))
                if (plain := rule.clauses[line].partition(" unless ")[0]) != rule.clauses[line]:
                    clauses = (*rule.clauses[:line], plain, *rule.clauses[line + 1 :])
                    yield replace(self, rules=(*before, replace(rule, clauses=clauses), *after))
            for simple in (rule.match.partition(" where ")[0], rule.match.partition(" except ")[0]):
                if simple != rule.match:
                    yield replace(self, rules=(*before, replace(rule, match=simple), *after))


def write(seed: int, operators: Sequence[str]) -> Ruleset:
    """The recipe of a seed for a network that has these operators."""
    return _Writer(seed, operators).ruleset()


class _Writer:
    def __init__(self, seed: int, operators: Sequence[str]) -> None:
        self.random = Random(f"rules {seed}")
        renamed = {"matmul": "nn.dense"}
        # Its convolutions mostly, everything else now and then.
        present = [renamed.get(op, op) for op in operators if op not in NOT_OPERATORS]
        self.convolutions = [op for op in dict.fromkeys(present) if op in CONVOLUTIONS] or ["nn.conv2d"]
        self.others = list(dict.fromkeys([*present, "nn.dense", "nn.relu", "add"]))
        self.sets: list[str] = []

    def ruleset(self) -> Ruleset:
        heads = []
        if self.chance(0.2):
            heads.append(f"let chosen = {self.selector()}")
            self.sets.append("chosen")
        while self.chance(0.2):
            heads.append(f"skip {self.selector()}")
        count = self.random.choice([1, 1, 2, 2, 3])
        rules = tuple(self.rule(f"r{number}", is_first=number == 0) for number in range(count))
        return Ruleset(tuple(heads), rules)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # ── selectors ────────────────────────────────────────────────────────────────────────────────────────────────────

    def operator(self) -> str:
        if self.chance(0.7):
            return self.random.choice(self.convolutions)
        return self.random.choice([*self.others, "nn.*", "*", *self.sets])

    def selector(self, op: str | None = None) -> str:
        op = op or self.operator()
        if self.chance(0.25) and op not in ("nn.*", "*", *self.sets):
            op += self.random.choice([" #0", " #1", " #-1", " #0..1", " #1..3", " #-2..-1"])
        text = op
        if self.chance(0.1):
            text += f" or {self.operator()}"
        if self.chance(0.3):
            text += f" where {self.condition()}"
        if self.chance(0.15):
            text += f" except {self.random.choice(self.convolutions)} #{self.random.choice([0, 1, -1])}"
        return text

    def condition(self) -> str:
        one = self.random.choice(
            """
            groups == 1; groups > 1; depthwise; not depthwise; pointwise; in_channels > 3; in_channels % 2 == 0
            out_channels >= in_channels; batch == 1; kernel_height == 3; height >= 4; rank == 4; users == 1; users > 1
            depth == 0; depth > 0; ordinal < 2; ordinal % 2 == 0; flops > 1000; bytes < 4000; intensity > 1.5
            name == "w0"; name like "w*"; name ~ /w[0-3]/; source like "*conv*"; dtype == "float32"
            feeds nn.relu; feeds add; fed_by nn.relu; feeds concat; not feeds add; op in {"nn.conv2d", "add"}
            layout == "NCHW"; strides == "[2, 2]"; width in {3..9}; weight_dtype == "float32"
            """.replace("\n", ";").split(";")[1:-1]
        ).strip()
        return f"{one} {self.random.choice(['and', 'or'])} {self.condition()}" if self.chance(0.15) else one

    # ── rules ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rule(self, name: str, *, is_first: bool) -> Rule:
        """The first rule is mostly about all convolutions, so that there is something to convert."""
        if is_first and self.chance(0.6):
            op = self.random.choice(self.convolutions)
            match, ends = op, [""]
        elif self.chance(0.1):
            first, second = self.random.choice(self.convolutions), self.random.choice(["nn.relu", "add", "*"])
            match = f"c: {first} -> d: {second}"
            ends = [" on c", " on c", " on d"]
            op = first
        elif self.chance(0.25):
            op = self.random.choice([*self.convolutions, self.operator()])
            # An ordinal belongs to an operator.
            op = self.random.choice(self.convolutions) if op in ("nn.*", "*", *self.sets) else op
            match = f"{op} #k where {self.random.choice(['k % 2 == 0', 'k not in {0}', 'k >= 1', 'k in {0..2, -1}'])}"
            ends = [""]
        else:
            op = self.operator()
            match, ends = self.selector(op), [""]
        weights = [6, 3, 0, 0, 3] if is_first else [6, 3, 0.7, 0.5, 2]
        kinds = self.random.choices(["layout", "cast", "keep", "tune", "pad"], weights, k=self.random.choice([1, 1, 2]))
        clauses = [self.request(kind, op) + self.random.choice(ends) for kind in dict.fromkeys(kinds)]
        if self.chance(0.1):
            clauses.insert(0, f"skip {self.selector()}")
        return Rule(name, match, (*clauses, self.random.choice(["optional"] * 9 + ["expect >= 0"])))

    def request(self, kind: str, op: str) -> str:
        write = {"layout": self.layout, "cast": self.cast, "keep": self.keep, "tune": self.tune, "pad": self.pad}
        said = write[kind](op)
        if self.chance(0.1) and kind in ("layout", "cast"):
            other = "keep" if self.chance(0.5) else {"layout": self.layout, "cast": self.cast}[kind](op)
            said += " else " + other.removeprefix("set layout ").removeprefix("cast ")
        ends = ["", " unless skipped", f" unless {self.random.choice(self.convolutions)} #0", " even if skipped"]
        return said + self.random.choices(ends, [6, 1, 0.5, 0.5])[0]

    def layout(self, op: str) -> str:
        kind = op.partition(" ")[0]
        kind = kind if kind in CONVOLUTIONS else self.convolutions[0]
        if self.chance(0.7):
            return f"set layout {self.random.choice(USUAL[kind])}"
        data, kernel = (self.shuffled(axes) for axes in CONVOLUTIONS[kind])
        return f"set layout {data} kernel {kernel}"

    def shuffled(self, axes: str) -> str:
        """The axes in any order; those of space mostly among themselves as they were, or the request is declined."""
        order = self.random.sample(axes, len(axes))
        space = iter(sorted(axis for axis in order if axis in "DHW"))
        return "".join(next(space) if axis in "DHW" else axis for axis in order) if self.chance(0.8) else "".join(order)

    def cast(self, op: str) -> str:  # noqa: ARG002
        dtypes = ["float16", "bfloat16", "float16 -> float16", "int8", "int4", "int4 -> int32", "int8 -> int16"]
        dtypes += ["float16", "bfloat16 -> float32", "float8_e4m3fn", "float64", "int16"]
        return f"cast {self.random.choice(dtypes)}"

    def keep(self, op: str) -> str:  # noqa: ARG002
        return self.random.choice(["keep", "keep layout", "keep dtype", "keep schedule", "keep channels", "keep batch"])

    def pad(self, op: str) -> str:  # noqa: ARG002
        bound = self.random.choice(["", "", " at most 2x", " at most 4.5x"])
        return f"pad {self.random.choice(['channels', 'channels', 'batch'])} to {self.random.choice([2, 4, 8])}{bound}"

    def tune(self, op: str) -> str:  # noqa: ARG002
        return self.random.choice(["tune tensorcore trials 4", "tune tensorcore"])
