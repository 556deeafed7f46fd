"""Packs: what is flattened plans as it prints, and what comes with other distributions is found and never run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corecast.api import CorecastError, Source, plan, read_recipe
from corecast.api.library import installed_packs
from corecast.api.recipes import read_flat
from corecast.lang import format, parse
from corecast.model import parse_table
from corecast.plan import Plan, PlanError
from corecast.recipe import FolderShelf, Library, flatten
from corecast.recipe.origins import format_resolved

TABLE = parse_table(
    """
    image: float32 8x3x32x32
    nn.conv2d#0(image, %stem: float32 16x3x3x3) -> float32 8x16x30x30
    nn.relu#0(nn.conv2d#0) -> float32 8x16x30x30  follows
    nn.conv2d#1(nn.relu#0, %body: float32 32x16x3x3) -> float32 8x32x28x28
    nn.conv2d#2(nn.conv2d#1, %head: float32 32x32x1x1) -> float32 8x32x28x28
    nn.dense#0(nn.conv2d#2, %fc: float32 10x32) -> float32 8x10
    return nn.dense#0
    """
)


def pack(folder: Path, name: str, rules: str, more: str = "") -> Path:
    """Write a pack."""
    (folder / name).mkdir(parents=True)
    info = f'name: {name}\nversion: "1.0"\ndescription: For a test\nlicence: MIT\n{more}'
    (folder / name / "pack.yaml").write_text(info, encoding="utf-8")
    (folder / name / f"{name}.rules").write_text(rules, encoding="utf-8")
    return folder / name


# ── what is flattened plans as it prints ─────────────────────────────────────────────────────────────────────────────

SETS = ["all", "stem", "some", "first"]
VALUES = [0, 1, 2, -1, 16, 32, 0.5, "HWNC", "NHWC", "float16", "st*", "true", "a b", True, False]
params = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(VALUES), max_size=4)


def written(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def one_of(own: dict[str, object], *fitting: object) -> st.SearchStrategy[str]:
    """A value, as it stands or as a parameter that has it."""
    known = [f"${name}" for name, value in own.items() if any(value is item for item in fitting)]
    return st.sampled_from([*known, *map(written, fitting)])


def settings_of(pack: dict[str, object]) -> st.SearchStrategy[str]:
    """A `with`, or none: another value of the same type for one parameter."""
    return st.sampled_from(
        [
            "",
            *(
                f" with {name} = {written(new)}"
                for name, old in pack.items()
                for new in VALUES
                if type(new) is type(old)
            ),
        ]
    )


@st.composite
def texts(
    draw: st.DrawFn, uses: dict[str, dict[str, object]], sets: tuple[str, ...] = ()
) -> tuple[str, dict[str, object], tuple[str, ...]]:
    """A recipe's text, its parameters and its sets."""
    own = draw(params)
    names = draw(st.lists(st.sampled_from(SETS), unique=True, max_size=3))
    place = one_of(own, 0, 1, 2, -1)
    some = st.sampled_from(["nn.conv2d", "nn.dense", "*", "(nn.conv2d #k where k in {0, 2})", *sets])
    selector = st.one_of(
        some,
        place.map(lambda place: f"nn.conv2d #{place}"),
        st.tuples(some, one_of(own, *VALUES)).map(lambda pair: f"{pair[0]} where in_channels >= {pair[1]}"),
        st.tuples(some, one_of(own, *VALUES)).map(lambda pair: f"{pair[0]} where name in {{{pair[1]}, body}}"),
        st.tuples(some, one_of(own, "st*", "a b")).map(lambda pair: f"{pair[0]} where name like {pair[1]}"),
        st.tuples(some, some).map(" except ".join),
    )
    request = st.one_of(
        st.sampled_from(["keep", "keep layout", "set layout HWNC unless skipped", "tune tensorcore"]),
        one_of(own, 1, 2, 16, 32).map(lambda trials: f"tune tensorcore trials {trials}"),
        one_of(own, "HWNC", "NHWC").map(lambda layout: f"set layout {layout} else keep"),
        one_of(own, "float16").map(lambda dtype: f"cast {dtype}"),
    )
    lines = [f"param {name} = {written(value)}" for name, value in own.items()]
    lines += [f"use {name}{draw(settings_of(theirs))}" for name, theirs in uses.items()]
    lines += [f"let {name} = {draw(selector)}" for name in names]
    lines += [f"skip {draw(st.sampled_from(names) if names else some)}  # why" for _ in range(draw(st.integers(0, 2)))]
    for number in range(draw(st.integers(0, 2))):
        head = f"rule r{number}\n" if draw(st.booleans()) else ""
        lines.append(f"{head}match {draw(st.sampled_from(names) if names else selector)}\noptional\n{draw(request)}")
    return "\n".join(lines) + "\n", own, tuple(names)


def decided(recipe: object) -> Plan:
    try:
        return plan(recipe, TABLE)  # type: ignore[arg-type]
    except PlanError as error:
        return error.plan


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_resolved_recipe_reads_back_and_plans_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Three recipes made up of scraps, one using the others: whatever can be planned, its resolved text plans too."""
    folder = tmp_path_factory.mktemp("packs")
    base, base_params, base_sets = data.draw(texts({}))
    pack(folder, "base", base)
    known = tuple(f"base.{name}" for name in base_sets)
    family, family_params, family_sets = data.draw(texts({"base": base_params}, known))
    pack(folder, "family", family)
    order = data.draw(st.sampled_from([("family",), ("base", "family"), ("family", "base")]))
    uses = {name: {"base": {}, "family": family_params}[name] for name in order}
    mine, _, _ = data.draw(texts(uses, (*known, *(f"family.{name}" for name in family_sets))))
    rules = folder / "mine.rules"
    rules.write_text(mine, encoding="utf-8")
    try:
        recipe = read_recipe(rules, TABLE)
    except CorecastError:
        return
    text = format_resolved(read_flat(rules)[0])
    assert format(parse(text)) == text
    again = read_recipe(Source("resolved.rules", text), TABLE)
    one, other = decided(recipe), decided(again)
    assert [(layer.id, edits(layer)) for layer in one.layers] == [(layer.id, edits(layer)) for layer in other.layers]
    assert [(rule.rule, rule.matched, rule.realised) for rule in one.rules] == [
        (rule.rule, rule.matched, rule.realised) for rule in other.rules
    ]
    assert one.predicted == other.predicted


def edits(layer: object) -> list[object]:
    return [decision and (decision.edit, decision.rule) for decision in layer.decisions]  # type: ignore[attr-defined]


def test_every_node_of_a_flattened_recipe_keeps_its_place(tmp_path: Path) -> None:
    pack(tmp_path, "base", "param n = 2\n\nlet last = nn.conv2d #$n\n")
    flat, problems = flatten(
        parse(Source("mine.rules", "use base")), Library((FolderShelf(tmp_path, "here", tmp_path),))
    )
    assert not problems
    (let,) = flat.file.statements
    assert (let.name, str(let.span)) == ("base.last", f"{tmp_path / 'base' / 'base.rules'}:3:1")  # type: ignore[union-attr]
    ordinal = let.selector.ordinal  # type: ignore[union-attr]
    assert (ordinal.first, ordinal.span.text) == (2, "#$n")


def test_the_hash_covers_what_is_used_and_the_values_of_parameters(tmp_path: Path) -> None:
    base = pack(tmp_path, "base", "param n = 2\nmatch nn.conv2d #$n, keep\n")
    mine = tmp_path / "mine.rules"
    mine.write_text("use base\n", encoding="utf-8")
    hashes = {read_recipe(mine).hash, read_recipe(mine, params={"base.n": 1}).hash}
    (base / "base.rules").write_text("param n = 2\nmatch nn.conv2d #$n, keep layout\n", encoding="utf-8")
    hashes.add(read_recipe(mine).hash)
    assert len(hashes) == 3
    assert read_recipe(mine).hash in hashes


# ── packs of other distributions ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions."""
    monkeypatch.syspath_prepend(tmp_path)
    installed_packs.cache_clear()
    yield tmp_path
    installed_packs.cache_clear()


def install(site: Path, distribution: str, *points: str) -> None:
    info = site / f"{distribution}-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 2.1\n", encoding="utf-8")
    text = "[corecast.recipes]\n" + "".join(f"{point}\n" for point in points)
    (info / "entry_points.txt").write_text(text, encoding="utf-8")


def test_a_pack_of_a_distribution_is_found_and_nothing_of_it_is_run(site: Path) -> None:
    """The package raises where it is imported; its name may be another than the pack's."""
    folder = pack(site / "acme_rules", "acme-resnet", "match nn.conv2d, keep\n")
    folder.rename(site / "acme_rules" / "resnets")
    for package in (site / "acme_rules", site / "acme_rules" / "resnets"):
        (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    install(site, "acme", "acme-resnet = acme_rules.resnets")
    recipe = read_recipe(Source("mine.rules", "use acme-resnet >= 1\nmatch nn.dense, keep"))
    assert [(rule.name, rule.span.source.name) for rule in recipe.rules] == [
        ("acme-resnet.line-1", "acme-resnet.rules"),
        ("line-2", "mine.rules"),
    ]
    assert read_recipe("acme-resnet").parts[0].pack.origin == "acme 2.1"  # type: ignore[union-attr]
    assert not any(name.startswith("acme_rules") for name in sys.modules)


def test_a_folder_comes_before_a_distribution_and_that_before_our_own(site: Path) -> None:
    pack(site / "acme_rules", "resnet", "match nn.conv2d, keep layout\n")
    install(site, "acme", "resnet = acme_rules.resnet")
    pack(site / "near", "resnet", "match nn.conv2d, keep dtype\n")
    assert [str(read_recipe("resnet").rules[0].requests[0].text)] == ["keep layout"]
    assert read_recipe("resnet", packs=[site / "near"]).rules[0].requests[0].text == "keep dtype"


def test_two_distributions_with_one_pack_are_told_apart_by_nobody(site: Path) -> None:
    install(site, "acme", "resnet = acme_rules.resnet")
    install(site, "other", "resnet = other_rules.resnet")
    with pytest.raises(CorecastError, match=r"`resnet` comes with two distributions: (acme|other) 2.1 and") as caught:
        read_recipe("resnet")
    assert caught.value.problems[0].slug == "name-clash"


def test_an_entry_point_without_a_pack_behind_it_says_where_it_looked(site: Path) -> None:
    install(site, "acme", "lost = acme_rules.lost")
    with pytest.raises(CorecastError, match=r"cannot read acme_rules.lost.pack.yaml: No such file") as caught:
        read_recipe(Source("mine.rules", "use lost"))
    assert "mine.rules:1:1: note: used here" in str(caught.value)


def test_a_pack_that_has_another_name_is_told(site: Path) -> None:
    pack(site / "acme_rules", "resnet", "match nn.conv2d, keep\n")
    install(site, "acme", "acme-resnet = acme_rules.resnet")
    with pytest.raises(CorecastError, match="this pack is called `resnet`, and it stands where `acme-resnet`"):
        read_recipe("acme-resnet")


# ── pack.yaml ────────────────────────────────────────────────────────────────────────────────────────────────────────


def problems_of(folder: Path, text: str) -> list[str]:
    (folder / "pack.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CorecastError) as caught:
        read_recipe(folder)
    return [
        f"{problem.span.line if problem.span else 0} {problem.slug}: {problem.message}"
        for problem in caught.value.problems
    ]


GOOD = 'name: mine\nversion: "1.0"\ndescription: For a test\nlicence: MIT\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["missing-key: the entry `name` is missing"]),
        (GOOD.replace("licence", "license"), ["unknown-key: there is no entry `license` here"]),
        (GOOD.replace("MIT", "mine"), ["bad-value: `licence`: mine is no licence that is known"]),
        (GOOD.replace('"1.0"', "first"), ["bad-value: `version`: first is no version"]),
        (GOOD.replace("mine", "a.b", 1), ["bad-value: `name`: String should match pattern"]),
        (GOOD.replace("For a test", '"two\\nlines"'), ["bad-value: `description`: String should match pattern"]),
        (GOOD + "requires: {tvm: 0.27}\n", ["5 bad-value: `tvm`: 0.27 is no version bound"]),
        (GOOD + "requires:\n  tmv: '>=1'\n", ["6 unknown-key: there is no entry `tmv` here"]),
        (GOOD + "requires:\n  packs:\n    a/b: '>=1'\n", ["7 bad-value: "]),
        (GOOD + "validated_with:\n- model: a\n  tvm: x\n", ["bad-value: `tvm`", "7", "missing-key: the entry `error`"]),
        (GOOD + "name: mine\n", ["5 duplicate-key: a second `name`"]),
        (GOOD + "requires: &a\n  packs: *a\n", ["not-yaml: an alias cannot stand here"]),
        (GOOD + "requires: [\n", ["not-yaml: this is no YAML: "]),
        (GOOD + "\x00", ["not-yaml: this is no YAML that can be read"]),
        ("[" * 1500, ["not-yaml: "]),
        ("- name\n", ["bad-value: Input should be a valid dictionary"]),
        ("'5'", ["bad-value: Input should be a valid dictionary"]),
    ],
)
def test_pack_yaml_is_read_strictly_and_each_problem_has_its_place(tmp_path: Path, text: str, told: list[str]) -> None:
    folder = pack(tmp_path, "mine", "match nn.conv2d, keep\n")
    found = "\n".join(problems_of(folder, text))
    assert all(part in found for part in told), found


@pytest.mark.parametrize("file", ["pack.yaml", "mine.rules"])
def test_no_file_of_a_pack_is_a_link_out_of_it(tmp_path: Path, file: str) -> None:
    folder = pack(tmp_path, "mine", "match nn.conv2d, keep\n")
    (folder / file).rename(tmp_path / file)
    (folder / file).symlink_to(tmp_path / file)
    with pytest.raises(CorecastError, match=f"{file} of the pack `mine` is a link out of its folder") as caught:
        read_recipe(folder)
    assert caught.value.problems[0].slug == "leaves-pack"


def test_what_a_pack_was_proven_on_is_part_of_it(tmp_path: Path) -> None:
    proof = """validated_with:
- model: resnet50.onnx
  fingerprint: sha256:FINGERPRINT
  recipe: sha256:FINGERPRINT
  target: llvm
  tvm: 0.27.0.post1
  error: 6.57e-07
  seconds: 4.5
""".replace("FINGERPRINT", "0" * 64)
    folder = pack(tmp_path, "mine", "match nn.conv2d, keep\n", proof)
    (validation,) = read_recipe(folder).parts[0].pack.info.validated_with  # type: ignore[union-attr]
    assert (validation.error, validation.seconds, validation.target) == (6.57e-07, 4.5, "llvm")
