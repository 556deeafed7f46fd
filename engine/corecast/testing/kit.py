"""The tests that every adapter has to pass: identity, what is realised, what is skipped, and the numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from corecast.adapters.agreement import PlanMismatchError, RealisedError
from corecast.adapters.door import Adapter
from corecast.adapters.proof import scaled, verify_models
from corecast.api.recipes import read_recipe
from corecast.lang import Source
from corecast.model import Layer, LayerTable
from corecast.plan import Plan
from corecast.plan import plan as make_plan
from corecast.recipe import Keep
from corecast.verify import difference, inputs_for, tolerance_of

Array = NDArray[np.generic]


class AdapterTests:
    """A subclass named `Test...` names an adapter, a model and a recipe, and inherits the proofs.

    Each has its control: what it looks for, it must be able to miss.

    Attributes:
        adapter: the one to prove.
        rules: the text of a recipe that changes two layers of the model or more; its casts are to floats.
    """

    adapter: ClassVar[Adapter[Any]]
    rules: ClassVar[str]

    @abstractmethod
    def model(self) -> Any:
        """A new copy of one model that is fit for conversion: always the same, with weights of a sane scale."""

    def run(self, model: Any, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Run a model as it is, or as what it is to be run on computes; to be written where there is no `runner`."""
        return self.adapter.runner(model)(inputs)

    # ── identity ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_model_has_the_same_layers_whenever_it_is_surveyed(self) -> None:
        """Another copy of it too; each has a source of its own; and operators, not numbers alone, tell layers apart."""
        model, table = self._surveyed()
        assert table.layers, "the model has no layers"
        assert table.ir == self.adapter.ir
        assert self.adapter.survey(model) == table
        assert self._surveyed()[1] == table
        assert self._surveyed()[1].fingerprint == table.fingerprint
        sources = [layer.source for layer in table.layers]
        assert None not in sources, "a layer has no source"
        assert len(set(sources)) == len(sources), "two layers have one source"

    def test_what_no_rule_names_is_as_it_was(self) -> None:
        """A plan that only keeps changes no layer, and needs no cast and no transpose."""
        model, table = self._surveyed()
        conversion = self.adapter.apply(_planned("match *\n  keep\n", table), model)
        assert (conversion.realised.casts, conversion.realised.layout_transforms) == (0, 0)
        assert [layer.hash for layer in conversion.after.layers] == [layer.hash for layer in table.layers]

    def test_a_plan_for_another_model_is_refused(self) -> None:
        """A layer with other attributes, shapes or neighbours is another one, whatever it is called."""
        model, table = self._surveyed()
        plan = self._plan(table)
        first, *others = plan.layers
        other = plan.model_copy(update={"layers": (replace(first, hash="0" * len(first.hash)), *others)})
        with pytest.raises(PlanMismatchError):
            self.adapter.apply(other, model)

    # ── what is realised ─────────────────────────────────────────────────────────────────────────────────────────────

    def test_what_was_decided_is_read_back_from_the_result(self) -> None:
        """Every planned layer is told as realised; and of a model that was not converted, that it is not."""
        model, table = self._surveyed()
        plan = self._plan(table)
        conversion = self.adapter.apply(plan, model)
        assert conversion.realised.layers == len(plan.layers)
        with pytest.raises(RealisedError):
            self.adapter.realised(plan, table, table)

    def test_the_original_is_left_alone(self) -> None:
        """Also its numbers: a converted model may share nothing with it that it changes."""
        model, table = self._surveyed()
        inputs = inputs_for(table, 0)
        outputs = self.run(model, inputs)
        self.adapter.apply(self._plan(table), model)
        assert self.adapter.survey(model) == table
        for before, after in zip(outputs, self.run(model, inputs), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_the_passes_have_names_and_print_what_they_do(self) -> None:
        """`corecast compile` shows them."""
        passes = list(self.adapter.compile(self._plan(self._surveyed()[1])))
        assert passes
        for step in passes:
            assert step.name
            assert str(step).strip()
            assert " object at 0x" not in str(step), "the text of a pass says nothing"

    # ── what is skipped ──────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_skipped_layer_stays_as_it_was(self) -> None:
        """Each that the recipe changes is skipped in turn, and the others change all the same."""
        model, table = self._surveyed()
        changed = self._changed(self._plan(table))
        for skipped in changed:
            plan = _planned(f"skip {table.by_id[skipped].op} #{table.by_id[skipped].ordinal}\n{self.rules}", table)
            assert self._changed(plan) == [layer for layer in changed if layer != skipped]
            after = {layer.source: layer for layer in self.adapter.apply(plan, model).after.layers}
            before = table.by_id[skipped]
            assert before.source in after, f"{skipped} is gone"
            assert _facts(after[before.source]) == _facts(before)

    # ── the numbers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def test_the_numbers_are_kept(self) -> None:
        """Within the tolerance of the plan; and other inputs give other numbers, so that a difference can be seen."""
        model, table = self._surveyed()
        plan = self._plan(table)
        tolerance = tolerance_of(plan)
        assert tolerance is not None, "the rules cast to integers, for which no tolerance can be stated"
        converted = self.adapter.apply(plan, model).converted
        reference = self.run(model, inputs_for(table, 0))
        assert difference(reference, self.run(converted, inputs_for(table, 0))).max_relative <= tolerance
        other = self.run(converted, inputs_for(table, 1))
        assert difference(reference, other).max_relative > 10 * tolerance, "the outputs hardly depend on the inputs"

    # ── files that are run ───────────────────────────────────────────────────────────────────────────────────────────

    def test_a_converted_file_is_read_again_and_proven(self, tmp_path: Path) -> None:
        """As `corecast verify` does it, which has to see a wrong weight. Skipped where `told` is not written."""
        if type(self.adapter).told is Adapter.told:
            pytest.skip(f"the adapter of the IR `{self.adapter.ir}` keeps no plan in its files: it has no `told`")
        model, table = self._surveyed()
        plan, path = self._plan(table), tmp_path / f"out.{self.adapter.ir}"
        conversion = self.adapter.apply(plan, model)
        self.adapter.write(conversion, path)
        found = self.adapter.read(path)
        assert found.plan == plan
        after = self.adapter.survey(found.model)
        assert [layer.hash for layer in after.layers] == [layer.hash for layer in conversion.after.layers]
        proven = verify_models(self.adapter, plan, model, found.model)
        assert proven.verdict == "pass", proven
        sources = {table.by_id[layer].source for layer in self._changed(plan)}
        weight = next(layer.name for layer in after.layers if layer.source in sources and layer.name)
        wrong = self.adapter.with_weights(found.model, {weight: scaled})
        assert verify_models(self.adapter, plan, model, wrong).verdict == "fail"

    # ── around them ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _surveyed(self) -> tuple[Any, LayerTable]:
        model = self.model()
        return model, self.adapter.survey(model)

    def _plan(self, table: LayerTable) -> Plan:
        plan = _planned(self.rules, table)
        assert len(self._changed(plan)) > 1, "`rules` change fewer than two layers of the model"
        return plan

    @staticmethod
    def _changed(plan: Plan) -> list[str]:
        edits = ((layer.id, decision.edit) for layer in plan.layers for decision in layer.decisions if decision)
        return list(dict.fromkeys(layer for layer, edit in edits if not isinstance(edit, Keep)))


def _planned(rules: str, table: LayerTable) -> Plan:
    return make_plan(read_recipe(Source("conformance.rules", rules), table), table)


def _facts(layer: Layer) -> tuple[object, ...]:
    dtypes = [tensor.dtype for tensor in (*(operand.type for operand in layer.operands), *layer.results)]
    return layer.op, dtypes, layer.data_layout, layer.kernel_layout
