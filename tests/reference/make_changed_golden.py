"""Writes tests/golden/changed: what Hugging Face predicts, and how it goes on, with features of a random transcoder changed in the embedded model.

Run from the repository root: python tests/reference/make_changed_golden.py  (torch 2.13.0, transformers 5.23.0, safetensors 0.8.0)

builtin.safetensors holds the transcoder of layer 3, resid_mid -> mlp_out: `encoder` (F32 [features, d_in]), `encoder_bias`, `decoder` ([features,
d_out]), `thresholds`; and `tokens` (I32 [1, context]), a text behind BOS. `clean.loss` (F32 [context - 1]) is the next token's without a change. For
each change of CHANGES (of the features CHANGED, at every token but BOS): `NAME.loss`; `NAME.kl` and `NAME.same` (F32 [context]): KL(clean || changed),
and whether both give the same token most; `NAME.movers` (I32 [context, 12]), the tokens whose probability of being next differs the most, the farthest
first, `NAME.before` and `NAME.after` (F32 [context, 12]), their probabilities. `clean.greedy` and `NAME.greedy` (I32 [24]) are what `generate` appends
to the text, the change acting on text and continuation alike, `clean.chance` and `NAME.chance` (F32 [24]) the probabilities of these tokens. All is
computed in float32.
"""
import contextlib
import os

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from make_gemma2_golden import capture, make_readable
from make_spliced_golden import hooked, random_transcoder

OUT = "tests/golden/changed"
MODEL = "core/builtin/tiny-gemma2"
TEXT = "My fellow citizens, the state of our Union is strong, because"
FEATURES, CHANGED, MOVERS, NEW_TOKENS = 16, (3, 11), 12, 24
# What becomes of an activation f, 0 where the feature does not fire.
CHANGES = {
    "off": lambda f: 0 * f,
    "scaled": lambda f: 4 * f,
    "set": lambda f: torch.full_like(f, 3),
    "set_firing": lambda f: torch.where(f > 0, 3, f),
    "added": lambda f: f - 2,
    "added_firing": lambda f: torch.where(f > 0, f - 2, f),
}


@contextlib.contextmanager
def changed(model, transcoder, change):
    seen = {}

    def read(x):
        seen["x"] = x.detach().clone()

    def write(y):
        a = seen["x"][:, 1:] @ transcoder["encoder"].T + transcoder["encoder_bias"]
        assert (a - transcoder["thresholds"]).abs().min() > 1e-5, "an activation is too near to its threshold"
        f = torch.where(a > transcoder["thresholds"], a, 0.0)[..., CHANGED]
        y[:, 1:] += (change(f) - f) @ transcoder["decoder"][list(CHANGED)]

    with hooked(model, (3, "resid_mid"), read), hooked(model, (3, "mlp_out"), write):
        yield


def greedy(model, tokens):
    """What is appended, and how probable it was; none of it may hang on the last bits."""
    found = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=False,
                           output_logits=True, return_dict_in_generate=True)
    p = torch.cat(found.logits).softmax(-1)
    best = p.topk(2).values
    assert (best[:, 0] - best[:, 1]).min() > 1e-4, "two tokens are as good as equal"
    ids = found.sequences[0, tokens.shape[1]:]
    assert len(ids) == NEW_TOKENS, "it has come to an end"
    return ids.to(torch.int32), best[:, 0].contiguous()


def main():
    os.makedirs(OUT, exist_ok=True)
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{MODEL}/tokenizer.json")
    tokens = torch.tensor([[2, *tokenizer.encode(TEXT, add_special_tokens=False)]])
    width = model.config.hidden_size
    transcoder = random_transcoder(width, width, FEATURES)
    del transcoder["decoder_bias"]
    clean = capture(model, tokens)
    tensors = {**transcoder, "tokens": tokens.to(torch.int32), "clean.loss": clean["loss"][0]}
    tensors["clean.greedy"], tensors["clean.chance"] = greedy(model, tokens)
    for name, change in CHANGES.items():
        with changed(model, transcoder, change):
            found = capture(model, tokens)
            tensors[f"{name}.greedy"], tensors[f"{name}.chance"] = greedy(model, tokens)
        p, q = clean["logits"][0].log_softmax(-1), found["logits"][0].log_softmax(-1)
        kl = (p.exp() * (p - q)).sum(-1)
        movers = (q.exp() - p.exp()).abs().topk(MOVERS).indices
        same = (p.argmax(-1) == q.argmax(-1)).float()
        tensors |= {f"{name}.loss": found["loss"][0], f"{name}.kl": kl, f"{name}.same": same, f"{name}.movers": movers.to(torch.int32),
                    f"{name}.before": p.exp().gather(-1, movers), f"{name}.after": q.exp().gather(-1, movers)}
        differs = (tensors[f"{name}.greedy"] != tensors["clean.greedy"]).int().argmax().item()
        print(f"{name}: KL {kl.mean():.4f}, largest {kl.max():.3f}, same {same.mean():.2f}, first other token {differs}")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, f"{OUT}/builtin.safetensors")
    make_readable(OUT)


if __name__ == "__main__":
    main()
