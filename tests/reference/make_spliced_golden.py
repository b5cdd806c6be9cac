"""Writes tests/golden/spliced: what Hugging Face predicts with random transcoders in the place of a site of the golden models "window".

Run from the repository root: python tests/reference/make_spliced_golden.py  (torch 2.13.0, transformers 5.23.0, safetensors 0.8.0)

FAMILY.safetensors holds the transcoders `a`, `b`, `c` and `d`: `T.encoder` (F32 [features, d_in]), `T.encoder_bias`, `T.decoder` ([features, d_out],
where `c` and `d` have two targets side by side), `T.decoder_bias`, `T.thresholds`, of `d` `T.skip` ([d_in, d_out]); TRANSCODERS below says what they
map. `tokens` (I32 [contexts, context]) are the model's own golden ones. `clean.loss` (F32 [contexts, context - 1]) is the next token's, without a change.
For each of them, `all` (`a` and `b` at once; `b` reads what `a` has made of the model) and `between` (`c` and `b`, whose target lies between `c`'s) and each
of `zero`, `mean`, `0`, `1` (the targets are zero, are their means, are the reconstruction of a prefix, at every token but BOS): `WHO.HOW.loss`, and
`WHO.HOW.kl` and `WHO.HOW.same` (F32 [contexts, context]): KL(clean || changed), and whether both give the same token most. All is computed in float32.
"""
import contextlib
import os

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from make_gemma2_golden import ENDS, SITES, capture, layers_of, make_readable

OUT = "tests/golden/spliced"
GROUPS = (6, 10)
ENDS_OF_PREFIXES = (6, 16)

# From a site to a site of another layer; from what enters a layer, which `a` has changed, to a site of the same; to two sites of different
# widths; to two with a skip connection.
TRANSCODERS = {
    "gemma2": {
        "a": ((0, "resid_mid"), [(1, "mlp_out")]),
        "b": ((2, "resid_pre"), [(2, "attn_out")]),
        "c": ((0, "mlp_in"), [(0, "mlp_out"), (2, "mlp_neurons")]),
        "d": ((1, "resid_mid"), [(1, "mlp_out"), (2, "mlp_out")]),
    },
    "gemma3": {
        "a": ((2, "mlp_in"), [(2, "mlp_out")]),
        "b": ((5, "resid_mid"), [(5, "mlp_out")]),
        "c": ((0, "mlp_in"), [(1, "attn_out"), (6, "mlp_neurons")]),
        "d": ((3, "resid_mid"), [(3, "mlp_out"), (4, "attn_heads")]),
    },
}
WHO = {"a": "a", "b": "b", "all": "ab", "c": "c", "d": "d", "between": "cb"}


def module_of(model, layer, site):
    path, side = {**SITES, **ENDS}[site]
    return layers_of(model)[layer].get_submodule(path), side


def width_of(model, tap):
    config = model.config
    widths = {"mlp_neurons": config.intermediate_size, "attn_heads": config.num_attention_heads * config.head_dim}
    return widths.get(tap[1], config.hidden_size)


@contextlib.contextmanager
def hooked(model, tap, use):
    """Calls `use` with a site's activations, which it may change in place."""
    module, side = module_of(model, *tap)
    if side == "input":
        handle = module.register_forward_pre_hook(lambda _, inputs: use(inputs[0]))
    else:
        handle = module.register_forward_hook(lambda _, inputs, output: use(output))
    yield
    handle.remove()


def random_transcoder(d_in, d_out, features, skip):
    """Threshold 0 is among them; the decoder is large enough to matter."""
    transcoder = {"encoder": torch.randn(features, d_in) / d_in ** 0.5, "encoder_bias": 0.1 * torch.randn(features),
            "decoder": 0.5 * torch.randn(features, d_out), "decoder_bias": 0.3 * torch.randn(d_out),
            "thresholds": torch.linspace(0, 0.6, features)}
    return transcoder | ({"skip": torch.randn(d_in, d_out) / d_in ** 0.5} if skip else {})


def reconstruct(transcoder, x, end):
    a = x @ transcoder["encoder"].T + transcoder["encoder_bias"]
    assert (a - transcoder["thresholds"]).abs().min() > 1e-5, "an activation is too near to its threshold"
    f = torch.where(a > transcoder["thresholds"], a, 0.0)
    y = f[..., :end] @ transcoder["decoder"][:end] + transcoder["decoder_bias"]
    return y + x @ transcoder["skip"] if "skip" in transcoder else y


@contextlib.contextmanager
def changed(model, members, how, means):
    """Members: (transcoder, source, targets) each; of each, its targets' means side by side."""
    with contextlib.ExitStack() as stack:
        for (transcoder, source, targets), mean in zip(members, means):
            seen = {}

            def read(x, seen=seen):
                seen["x"] = x.detach().clone()
            stack.enter_context(hooked(model, source, read))
            column = 0
            for target in targets:
                width = width_of(model, target)

                def write(y, seen=seen, transcoder=transcoder, mean=mean, columns=slice(column, column + width)):
                    rows = y[:, 1:]
                    if how == "zero":
                        rows.zero_()
                    elif how == "mean":
                        rows.copy_(mean[columns].expand_as(rows))
                    else:
                        rows.copy_(reconstruct(transcoder, seen["x"][:, 1:], ENDS_OF_PREFIXES[int(how)])[..., columns])
                stack.enter_context(hooked(model, target, write))
                column += width
        yield


def main():
    os.makedirs(OUT, exist_ok=True)
    for seed, (family, mappings) in enumerate(TRANSCODERS.items()):
        torch.manual_seed(100 + seed)
        model = AutoModelForCausalLM.from_pretrained(f"tests/golden/{family}/window", dtype=torch.float32, attn_implementation="eager").eval()
        tokens = load_file(f"tests/golden/{family}/window.safetensors")["tokens"].long()
        clean = capture(model, tokens)
        tensors, members = {"tokens": tokens.to(torch.int32), "clean.loss": clean["loss"]}, {}
        for name, (source, targets) in mappings.items():
            widths = width_of(model, source), sum(width_of(model, target) for target in targets)
            transcoder = random_transcoder(*widths, sum(GROUPS), skip=name == "d")
            tensors |= {f"{name}.{key}": value for key, value in transcoder.items()}
            members[name] = (transcoder, source, targets)
        for who, which in WHO.items():
            chosen = [members[name] for name in which]
            means = [torch.cat([clean[f"layer{layer}.{site}"][:, 1:].mean((0, 1)) for layer, site in targets]) for _, _, targets in chosen]
            for how in ("zero", "mean", "0", "1"):
                with changed(model, chosen, how, means):
                    found = capture(model, tokens)
                p, q = clean["logits"].log_softmax(-1), found["logits"].log_softmax(-1)
                kl = (p.exp() * (p - q)).sum(-1)
                assert kl[:, 1:].min() > 1e-4, f"{family} {who} {how} changed nothing"
                same = (clean["logits"].argmax(-1) == found["logits"].argmax(-1)).float()
                tensors |= {f"{who}.{how}.loss": found["loss"], f"{who}.{how}.kl": kl, f"{who}.{how}.same": same}
                print(f"{family} {who} {how}: loss {found['loss'].mean():.3f} (clean {clean['loss'].mean():.3f}), KL {kl.mean():.3f}, "
                      f"same {same.mean():.2f}")
        save_file(tensors, f"{OUT}/{family}.safetensors")
    make_readable(OUT)


if __name__ == "__main__":
    main()
