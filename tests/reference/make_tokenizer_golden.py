"""Write tests/golden/tokenizer.json: ids and decoded texts by the Rust tokenizers library (0.23.3).

For the embedded tokenizer, and for a small one whose merges run across spaces ("e▁t"), which is written along.
usage: make_tokenizer_golden.py   (from anywhere; needs the Python package tokenizers)
"""
import json
from pathlib import Path
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

root = Path(__file__).resolve().parents[2]
PROSE = "To the Congress of the United States: the state of the Union is strong, and the people of the land are the reason."
TEXTS = [
    "", " ", "   ", "\n", "a", " a", "a ", "  a  b   c    ", PROSE, f"  {PROSE}\n\n{PROSE}  \n",
    "tab\tand\ttabs\t\t", "line\r\nline\r\n\r\n", "one\n two\n  three\n   four", "\u00a0no-break\u00a0space\u2003em space",
    "naïve café Ünïcödé Straße ÅÄÖ", "e\u0301 combining a\u0308", "emoji 👍🏽 👩‍👩‍👧 🇩🇪 🌍", "中文 日本語 한국어 العربية עברית",
    "▁ literal▁symbol ▁▁two ▁", "<eos> and <bos> and <pad> inside", "a<bos>b <bos> c", "<0x0A> spelled byte <0xFF>",
    "snake_case __init__ $1,234.56 50% a/b c\\d {x: [1, 2]}", "x" * 300, "ab" * 100, "9" * 40 + " 1790 2020",
    "\u0000\u0001\u007f control", "\ufeffmark", "\u200bzero\u200bwidth", "don't can't 'quoted' \"double\" – — … “ ”", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010ffff",
]


def cases(tokenizer):
    encoded = [(text, tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    return [{"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)} for text, ids in encoded]


def crossing_tokenizer():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=360, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator([PROSE, PROSE.replace(" ", "  "), PROSE.upper()], trainer)
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["id"] < 4]
    assert any("▁" in token[1:].lstrip("▁") for token in spec["model"]["vocab"]), "no merge across a space"
    return spec


spec = crossing_tokenizer()
golden = {"crossing_spec": spec}
for name, tokenizer in {
    "embedded": Tokenizer.from_file(str(root / "core/builtin/tiny-gemma2/tokenizer.json")),
    "crossing": Tokenizer.from_str(json.dumps(spec)),
}.items():
    golden[name] = cases(tokenizer)
out = root / "tests/golden/tokenizer.json"
out.write_text(json.dumps(golden, ensure_ascii=True, separators=(",", ":")) + "\n")
print(out, out.stat().st_size, "bytes")
