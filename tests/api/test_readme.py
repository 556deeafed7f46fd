"""What the README shows is what the commands print."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import onnx
import pytest

from corecast.api.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_resnet50.onnx"


def shown(command: str) -> str:
    """The output that stands below a command in the README."""
    start = README.index(f"$ {command}\n") + len(f"$ {command}\n")
    return re.split(r"^(?:\$ |```)", README[start:], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", ["plan", "compile"])
def test_the_first_screen_is_real(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan and the passes of ResNet-50, word for word."""
    command = f"corecast {name} resnet resnet50.onnx --weights random:0"
    shutil.copy(LIGHT, tmp_path / "resnet50.onnx")
    monkeypatch.chdir(tmp_path)
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert main(shlex.split(command)[1:]) == 0
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == shown(command).splitlines()


def test_a_pack_begins_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("corecast new acme-resnet --family resnet", "corecast test acme-resnet"):
        assert main(shlex.split(command)[1:]) == 0
        assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == shown(command).splitlines()


def test_the_recipe_that_uses_another_is_one() -> None:
    from corecast.api import Source, read_recipe

    (text,) = re.findall(r"^```\n(use resnet.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    names = [rule.name for rule in read_recipe(Source("mine.rules", text)).rules]
    assert names[0] == "resnet.tensor_core_convs"


def test_the_recipe_shown_is_the_recipe_shipped() -> None:
    """A reader who copies it has the file."""
    assert (ROOT / "rules" / "resnet" / "resnet.rules").read_text(encoding="utf-8") in README


def test_the_charter_s_sentence_is_a_file() -> None:
    """As it stands."""
    from corecast.api import Source, read_recipe

    sentence = "match nn.conv2d #k, set layout HWNC, cast int4 unless skipped"
    assert f"`{sentence}`" in README
    assert len(read_recipe(Source("charter.rules", sentence)).rules[0].requests) == 2
