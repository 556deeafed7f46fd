"""Prove the recipe `int8` on the networks of all folds, and write it into its pack: `python -m digits.proof`.

Each is calibrated on images that it was trained on, and verified on those that it has not seen, with their labels.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from corecast.adapters.relax import apply, write_bundle
from corecast.api import calibrate, verify_bundle
from corecast.api.library import library, recipe_root
from corecast.api.proving import Proof, with_validation
from corecast.api.recipes import read_flat
from digits.measure import Trained, networks, planned

RECIPE = "int8"


def proven(network: Trained) -> Proof:
    """The recipe on one network."""
    decided, _ = planned(network, f"use {RECIPE}\nexpect accuracy drop <= 0.5%\n")
    found = calibrate(decided, network.model, [network.known.pixels])
    conversion = apply(decided, network.model, found)
    with TemporaryDirectory() as folder:
        bundle = write_bundle(conversion, Path(folder, "bundle"))
        unseen = network.unseen
        return Proof(conversion, verify_bundle(bundle, network.model, data=[unseen.pixels], labels=unseen.digits))


def main() -> None:
    flat, _ = read_flat(RECIPE)
    for network in networks():
        proof = proven(network)
        print(f"fold {network.number}: {proof.verification}", flush=True)
        if proof.verification.verdict != "pass":
            raise SystemExit(1)
        pack = library().find(RECIPE)
        assert pack is not None
        text = with_validation(pack.document, proof.validation(f"digits, fold {network.number} (trained)", flat))
        (recipe_root() / RECIPE / "pack.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
