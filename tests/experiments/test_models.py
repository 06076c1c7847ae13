"""The table of what models cost: the one in the docs is the one that is printed, and its figures are known ones."""

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from experiments.document import END
from experiments.models import PLACE, Row, configs, presets, table
from model.families import registry
from model.families.llama import Llama
from model.families.registry import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "models.md"


def test_the_docs_hold_the_table_of_today() -> None:
    document = DOCS.read_text()
    text = table([*presets(), *configs()])
    assert PLACE.inserted(document, text, "docs/models.md") == document, (
        "docs/models.md is out of date; python -m experiments.models --write docs/models.md writes it anew"
    )


def test_every_preset_and_config_is_there() -> None:
    names = [(row.family, row.name) for row in (*presets(), *configs())]
    assert len(set(names)) == len(names)
    assert {(family.name, name) for family in FAMILIES for name in family.presets} <= set(names)
    shipped = {path.stem for path in (ROOT / "experiments" / "configs").glob("*.py")} - {"__init__"}
    assert {name for family, name in names if family == "config"} == shipped


class Known(Llama):
    """Llama 3.1 8B, with the figures that are published of it."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "llama-3.1-8b": {
            "architectures": ["LlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "rope_theta": 5e5,
            "max_position_embeddings": 4096,
        }
    }  # fmt: skip


def test_a_family_that_comes_later_is_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FAMILIES", (Known(),))
    [row] = presets()
    # The number of weights that Hugging Face shows; 128 KiB a token is 32 layers x 2 x 8 heads x 128 x 2 bytes.
    assert row.weights == row.active == 8_030_261_248 and row.context == 4096
    assert row.growth == 131_072 and row.cache == 4096 * 131_072
    matmuls = 8_030_261_248 - 128256 * 4096 - 65 * 4096
    assert row.flops == 2 * matmuls + 2 * 32 * 2 * 32 * 128 * 4097 / 2
    assert row.cells() == ("llama-3.1-8b", "llama", "8.03 B", "8.03 B", "4,096", "16.08", "128 KiB", "512 MiB")


def test_what_a_model_does_not_have_is_left_empty() -> None:
    bert = Row("bert", "bert", 1234, 1234, 512, 1e9, None, None)
    text = table([bert, Row("a", "b", 5, 5, 8, 2e9, 3072, 1 << 30)])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")[3:-1]] == ["1,234", "1,234", "512", "1", "", ""]
    assert [cell.strip() for cell in lines[3].split("|")[4:-1]] == ["5", "8", "2", "3 KiB", "1 GiB"]


@pytest.mark.slow
def test_as_a_verb(tmp_path: Path) -> None:
    place = tmp_path / "models.md"
    place.write_text(f"before\n{PLACE.begin}\nold\n{END}\nafter\n")
    command = [sys.executable, "-m", "experiments.models"]
    done = subprocess.run([*command, f"--write={place}"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert place.read_text() == f"before\n{PLACE.begin}\n{done.stdout}{END}\nafter\n"
    missing = subprocess.run(
        [*command, f"--write={tmp_path / 'none.md'}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2 and "none.md is no file" in missing.stderr and not (tmp_path / "none.md").exists()
