"""What stands for the values of a quantized model in the converted module: an attribute of the function says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter
from tvm import relax

# What stands for the model's values now, as JSON in an attribute of the function: nothing else of a module tells it.
FORMS = "corecast.forms"


@dataclass(frozen=True)
class Form:
    """What stands for a value of the model: the name of a binding, whose integers are `scale * (q - zero_point)`.

    Without a scale, it holds the value itself.
    """

    binding: str
    scale: float | None = None
    zero_point: int = 0


# None is for a value that nothing stands for: of a layer to whose sums a bias is added before they are scaled, or whose
# integers hold only what a relu behind it lets through.
_Forms: TypeAdapter[dict[str, Form | None]] = TypeAdapter(dict[str, Form | None])


def with_forms(main: relax.Function, forms: Mapping[str, Form | None]) -> relax.Function:
    """The function, which says what stands for the values that were made on integers."""
    return main.with_attr(FORMS, _Forms.dump_json(dict(forms), exclude_none=True).decode())


def forms_of(main: relax.Function) -> dict[str, Form | None]:
    """What stands for the values of quantized layers and those between, by the names that the model gave these."""
    return _Forms.validate_json(str(main.attrs[FORMS])) if main.attrs and FORMS in main.attrs else {}
