"""What tables, plans and words are made of: pydantic models that nobody changes and that know all of their entries."""

from __future__ import annotations

from pydantic import VERSION, BaseModel, ConfigDict

# To build what validates a model is a third of the time that importing Corecast would take, and most models are never
# used by those who only plan. Pydantic can wait with it; two threads may meet in that since 2.14 only.
_CAN_WAIT = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


class Record(BaseModel):
    """Named, typed fields, fixed once they are set; an entry of another name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=_CAN_WAIT)
