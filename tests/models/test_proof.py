"""What the shared recipes say that they were proven on is what was measured, and the page of them says the same."""

from __future__ import annotations

import re

import pytest
from models.light import specimens
from models.proof import DOCUMENT, FAMILIES

from corecast.adapters.relax import prepare, survey
from corecast.api.library import library
from corecast.api.recipes import read_flat
from corecast.recipe.lock import digest_of

PAGE = DOCUMENT.read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("recipe", FAMILIES)
def test_a_recipe_is_proven_on_several_networks_of_its_family(recipe: str) -> None:
    """Of which no two are one; by the same text, since a recipe has no other."""
    pack = library().find(recipe)
    assert pack is not None
    proofs = pack.info.validated_with
    assert {proof.model.rpartition(" (")[0] for proof in proofs} == set(FAMILIES[recipe])
    assert len({proof.fingerprint for proof in proofs}) == len(proofs) >= 2


@pytest.mark.parametrize("recipe", FAMILIES)
def test_what_was_proven_is_what_it_says_now(recipe: str) -> None:
    """With all that it uses. `make recipes` measures anew where this fails; a comment is free."""
    flat, _ = read_flat(recipe)
    pack = flat.parts[-1].pack
    assert pack is not None
    assert {proof.recipe for proof in pack.info.validated_with} == {digest_of(flat)}


@pytest.mark.parametrize("recipe", FAMILIES)
def test_the_page_and_the_pack_say_the_same(recipe: str) -> None:
    pack = library().find(recipe)
    assert pack is not None
    told = {(f"{row[1]} ({row[2]})", row[10]) for row in ROWS if row[0] == recipe and len(row) == 13}
    assert told == {(proof.model, f"{proof.error:.1e}") for proof in pack.info.validated_with}


def test_every_pack_is_on_the_page() -> None:
    listed = re.findall(r"^\| `(\S+)` \|", PAGE, flags=re.MULTILINE)
    assert sorted(listed) == sorted(library().names)


def test_a_proof_is_of_the_network_as_it_is_read_now() -> None:
    """`make recipes` measures anew where this fails: the layers of a network are others than those it was proven on."""
    pack = library().find("squeezenet")
    assert pack is not None
    (specimen,) = (item for item in specimens() if item.name == "squeezenet")
    table = survey(prepare(specimen.load(DOCUMENT.parent)))
    proof = next(item for item in pack.info.validated_with if item.model == str(specimen))
    assert proof.fingerprint == table.fingerprint
