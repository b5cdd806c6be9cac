"""Loads what `mtc export` writes with the tools that it is for, and holds what they compute against mtc's own encoder on the same activations.

    python tests/reference/export_loaders.py RUN... [--model DIR] [--circuit-tracer SOURCE] [--only MODULE]

Loaders that cannot be imported are passed over by name, so that several environments can share the work: sae-lens 6.54.12 and eai-sparsify 1.3.3; circuit-tracer with
transformers 4.57.3, transformer-lens 2.18.0, nnsight 0.6.1 and huggingface_hub below 1.0, and tensorboard; eai-delphi 0.1.3 and neuronpedia 1.2.1, which are best installed with
--no-deps. PyPI's circuit-tracer is a fork, so --circuit-tracer names a checkout of the original (github.com/decoderesearch/circuit-tracer; 4bb8c0e was tried). --model is where the
run's model lies as a Hugging Face directory; with the source of circuit-tracer and all layers trained, its replacement model attributes a prompt. Of several
runs, a layer each, circuit-tracer's set alone is made.

Every line of the table is a relative L2: of features [tokens, F] against `mtc encode`'s, of outputs against float64 sums over those features. The limit is 1e-5.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
LIMIT = 1e-5
TEXT = """Fellow-citizens of the Senate and House of Representatives: the receipts of the year were 12,450 dollars, and the expenditures 11,900. Peace with all
nations, commerce with as many as will trade with us, and good will among the States have been the fruits of a policy to which I ask that you hold."""
PROMPT = "The receipts of the year were 12,450"

failures = []
loaded = []


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def has(module: str) -> bool:
    if arguments.only not in (None, module):
        return False
    if importlib.util.find_spec(module) is not None:
        return True
    print(f"passed over: {module} is not installed")
    return False


def deno(*args: str) -> str:
    done = subprocess.run(["deno", "run", "-A", *args], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def export(tool: str, run: str | list[str], out: Path, *args: str) -> dict:
    model = ["--model", arguments.model] if arguments.model else []
    runs = [run] if isinstance(run, str) else run
    return json.loads(deno("main.ts", "export", "--to", tool, "--run", *runs, "--out", str(out), "--json", *model, *args))


def report(tool: str, what: str, features: float | None, outputs: float | None) -> None:
    shown = ["-" if value is None else f"{value:.1e}" for value in (features, outputs)]
    print(f"| {tool} | {what} | {shown[0]} | {shown[1]} |", flush=True)
    for value in (features, outputs):
        if value is not None and not value < LIMIT:
            failures.append(f"{tool} {what}: {value}")


def relative(found, expected) -> float:
    found, expected = (np.asarray(one, dtype=np.float64) for one in (found, expected))
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


class Encoded:
    """What mtc makes of the text: activations, features, and outputs as float64 sums."""

    def __init__(self, directory: str, activations: Path):
        own = load_file(Path(directory) / "transcoder.safetensors")
        held = load_file(activations)
        self.config = json.loads((Path(directory) / "config.json").read_text())
        self.decoder, self.bias = (own[key].astype(np.float64) for key in ("W_dec", "b_dec"))
        self.skip = own["W_skip"].astype(np.float64) if "W_skip" in own else None
        self.x, self.hook = held["x"], held["hook"]
        size = (len(self.x), len(self.decoder))
        self.kept, self.positive = (self.dense(held, name, size) for name in ("kept", "positive"))

    @staticmethod
    def dense(held, name, size):
        starts, index, value = (held[f"{name}.{part}"] for part in ("row_start", "index", "value"))
        dense = np.zeros(size, dtype=np.float32)
        dense[np.repeat(np.arange(size[0]), np.diff(starts.astype(np.int64))), index] = value
        return dense

    def outputs(self, features):
        skipped = 0 if self.skip is None else self.x.astype(np.float64) @ self.skip.T
        return features.astype(np.float64) @ self.decoder[: features.shape[1]] + self.bias + skipped

    def largest(self, end: int, k: int):
        features = self.positive[:, :end].copy()
        order = np.argsort(-features, axis=1, kind="stable")
        np.put_along_axis(features, order[:, k:], 0, axis=1)
        return features


def saelens(run: str, encoded: dict, out: Path) -> None:
    from sae_lens import SAE

    tool = f"sae-lens {version('sae-lens')}"
    for one in export("saelens", run, out, "--prefix", "all")["exported"]:
        own = encoded[one["run"]]
        sae = SAE.load_from_disk(out / one["directory"])
        assert sae.cfg.metadata.hook_name_out.endswith("hook_mlp_out"), sae.cfg.metadata
        with torch.no_grad():
            # A skip connection needs the input, which only forward has.
            features = sae.encode(torch.from_numpy(own.hook))
            outputs = sae(torch.from_numpy(own.hook))
        expected = own.kept[:, : one["features"]]
        report(tool, f"{one['directory']} at {sae.cfg.metadata.hook_name}", relative(features, expected), relative(outputs, own.outputs(expected)))


def sparsify(run: str, encoded: dict, out: Path) -> None:
    from sparsify import SparseCoder

    tool = f"eai-sparsify {version('eai-sparsify')}"
    for one in export("sparsify", run, out, "--prefix", "all", "--tokens", "512")["exported"]:
        own = encoded[one["run"]]
        coder = SparseCoder.load_from_disk(out / one["directory"])
        with torch.no_grad():
            x = torch.from_numpy(own.x)
            values, indices, _ = coder.encode(x)
            outputs = coder(x).sae_out
        features = torch.zeros(len(own.x), coder.num_latents).scatter_(1, indices, values)
        expected = own.largest(one["features"], coder.cfg.k)
        report(tool, f"{one['directory']}, k {coder.cfg.k}", relative(features, expected), relative(outputs, own.outputs(expected)))


def circuit_tracer(runs: list[str], encoded: dict, out: Path) -> None:
    from circuit_tracer.utils.hf_utils import load_transcoder_from_hub

    tool = f"circuit-tracer {'of its repository' if arguments.circuit_tracer else version('circuit-tracer')}"
    os.environ["CIRCUIT_TRACER_CACHE_DIR"] = str(out)
    for one in export("circuit-tracer", runs, out / "me" / "set", "--prefix", "all", "--no-features")["exported"]:
        transcoders, config = load_transcoder_from_hub(f"me/set/{one['directory']}", device=torch.device("cpu"))
        for own in encoded.values():
            layer = own.config["layer"]
            expected = own.kept[:, : one["features"]]
            with torch.no_grad():
                hook = torch.from_numpy(own.hook)
                features = transcoders[layer].encode(hook)
                outputs = transcoders[layer].decode(features, hook)
            what = f"{one['directory']}, layer {layer} at {config['feature_input_hook']}"
            report(tool, what, relative(features, expected), relative(outputs, own.outputs(expected)))


def attribute(runs: list[str], out: Path) -> None:
    """A graph of a prompt, and its features as circuit-tracer's own server gives them."""
    from circuit_tracer import ReplacementModel, attribute
    from circuit_tracer.frontend.feature_models import Model
    from circuit_tracer.frontend.local_server import serve
    from circuit_tracer.utils.create_graph_files import create_graph_files

    os.environ["HF_HUB_OFFLINE"] = "1"
    export("circuit-tracer", runs, out / "set")
    model = ReplacementModel.from_pretrained(arguments.model, str(out / "set"), backend="nnsight", device=torch.device("cpu"))
    graph = attribute(PROMPT, model, max_n_logits=3, batch_size=64, max_feature_nodes=200)
    # All of it at once: the model's activations, the hook, the set. mtc's forward pass agrees with Hugging Face's to some 1e-6.
    expected = torch.zeros(graph.cfg.n_layers, graph.n_pos, model.transcoders.d_transcoder)
    for run in runs:
        shown = json.loads(deno("main.ts", "encode", "--run", run, "--model", arguments.model, "--text", PROMPT, "--top", "65536", "--json"))
        for one in shown if isinstance(shown, list) else [shown]:
            for token in one["tokens"]:
                for feature in token["features"]:
                    expected[one["layer"], token["position"], feature["feature"]] = feature["value"]
    found = torch.zeros_like(expected)
    found[tuple(graph.active_features.T)] = graph.activation_values.float()
    error = relative(found, expected)
    assert error < 1e-3, error
    print(f"circuit-tracer: the graph's activations at {model.transcoders.feature_input_hook} against mtc encode of the prompt: {error:.1e}")
    (out / "graphs").mkdir()
    create_graph_files(graph, slug="prompt", output_path=str(out / "graphs"))
    nodes = json.loads((out / "graphs" / "prompt.json").read_text())["nodes"]
    traced = sorted({tuple(map(int, node["node_id"].split("_")[:2])) for node in nodes if node["feature_type"] == "cross layer transcoder"})
    server = serve(data_dir=str(out / "graphs"), port=8049, features_dir=str(out / "set" / "features"))
    served = 0
    try:
        index = json.loads(zlib.decompress(urllib.request.urlopen("http://localhost:8049/features/index.json.gz").read(), wbits=31))
        for layer, feature in traced:
            offsets = index[str(layer)]["offsets"]
            # The client asks for one byte more than it needs.
            asked = urllib.request.Request(f"http://localhost:8049/features/{index[str(layer)]['filename']}")
            asked.add_header("Range", f"bytes={offsets[feature]}-{offsets[feature + 1]}")
            record = urllib.request.urlopen(asked).read()
            length = int.from_bytes(record[:4], "little")
            shown = Model.model_validate_json(zlib.decompress(record[4 : 4 + length]))
            assert shown.index == feature and shown.examples_quantiles[0].examples, (layer, feature)
            served += 1
    finally:
        server.stop()
    print(f"circuit-tracer: {len(graph.active_features)} active features of {sorted({layer for layer, _ in traced})}, {len(nodes)} nodes in the graph; "
          f"{served} of its features served, the last one: {shown.examples_quantiles[0].quantile_name!r}")


def delphi(run: str, encoded: dict, out: Path) -> None:
    from delphi.config import ConstructorConfig, SamplerConfig
    from delphi.latents import LatentDataset

    tool = f"eai-delphi {version('eai-delphi')}"
    for one in export("delphi", run, out, "--model-name", arguments.model)["exported"]:
        record = load_file(Path(one["run"]) / "record.safetensors")
        context = json.loads((out / one["directory"] / "config.json").read_text())["cache_ctx_len"]
        dataset = LatentDataset(out, SamplerConfig(), ConstructorConfig(min_examples=20, example_ctx_len=context), modules=[one["directory"]])
        found = np.zeros((len(record["place"]), one["features"]), dtype=np.float32)
        token_at = {int(place): token for token, place in enumerate(record["place"])}
        for buffer in dataset.buffers:
            locations, activations, tokens = buffer.load()
            for (row, column, feature), value in zip(locations.tolist(), activations.tolist()):
                found[token_at[row * context + column], feature] = value
        starts = np.diff(record["row_start"].astype(np.int64))
        expected = np.zeros_like(found)
        expected[np.repeat(np.arange(len(starts)), starts), record["index"]] = record["value"]
        records = [latent for latent in dataset]
        error = relative(found, expected)
        assert error < 2**-11, error
        assert tokens.reshape(-1)[record["place"].astype(np.int64)].tolist() == record["id"].tolist()
        print(f"| {tool} | {one['directory']}: {len(records)} latents with examples | {error:.1e} (float16) | - |", flush=True)


def neuronpedia(run: str, encoded: dict, out: Path) -> None:
    from neuronpedia.np_activation import Activation
    from neuronpedia.np_feature import Feature, Logit
    from neuronpedia.requests.feature_request import FeatureRequest

    for one in export("neuronpedia", run, out)["exported"]:
        for path in (out / one["directory"]).glob("batch-*.json"):
            batch = json.loads(path.read_text())
            features = [
                Feature(
                    modelId=batch["modelId"], source=batch["source"], index=feature["index"], density=feature["density"],
                    top_logits=[Logit(**logit) for logit in feature["topLogits"]],
                    bottom_logits=[Logit(**logit) for logit in feature["bottomLogits"]],
                    activations=[
                        Activation(modelId=batch["modelId"], source=batch["source"], index=feature["index"], **activation)
                        for activation in feature["activations"]
                    ],
                )
                for feature in batch["features"]
            ]
            request = FeatureRequest(api_key="none")
            sent = []
            request.send_request = lambda method, uri, json: sent.append((method, uri, json))
            request.upload_batch(batch["modelId"], batch["source"], features)
            assert sent == [("POST", "upload-batch", batch)], path
        print(f"neuronpedia {version('neuronpedia')}: what its client would send of {one['run']} is the batches")


def tensorboard(run: str, encoded: dict, out: Path) -> None:
    from tensorboard.backend.event_processing import event_accumulator

    for one in export("tensorboard", run, out)["exported"]:
        accumulator = event_accumulator.EventAccumulator(str(out / one["directory"]))
        accumulator.Reload()
        with open(Path(one["run"]) / "metrics.csv") as file:
            rows = list(csv.DictReader(file))
        for tag, column in [("loss", "loss"), ("l0", "l0"), ("learning_rate", "learning_rate")]:
            events = accumulator.Scalars(tag)
            assert [event.step for event in events] == [int(row["step"]) for row in rows], tag
            assert [np.float32(event.value) for event in events] == [np.float32(row[column]) for row in rows], tag
        print(f"tensorboard {version('tensorboard')}: {len(rows)} steps of {one['run']}, {len(accumulator.Tags()['scalars'])} scalars each")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", nargs="+")
parser.add_argument("--model")
parser.add_argument("--circuit-tracer")
parser.add_argument("--no-attribution", action="store_true", help="leave out what takes a replacement model")
parser.add_argument("--only", help="the one module to try: sae_lens, sparsify, circuit_tracer, delphi, neuronpedia or tensorboard")
arguments = parser.parse_args()
if arguments.circuit_tracer:
    sys.path.insert(0, arguments.circuit_tracer)

with tempfile.TemporaryDirectory() as scratch:
    scratch = Path(scratch)
    encoded = {}
    for number, run in enumerate(arguments.run):
        own = scratch / f"own{number}"
        own.mkdir()
        deno(str(ROOT / "tests/reference/encode_activations.ts"), run, arguments.model or "-", TEXT, str(own))
        for activations in sorted(own.iterdir()):
            directory = Path(run) if (Path(run) / "config.json").exists() else Path(run) / activations.stem
            encoded[str(directory)] = Encoded(directory, activations)
    print("| loader | what | features | outputs |\n|---|---|---|---|")
    has_one_source = len({own.config["source"]["site"] for own in encoded.values()}) == 1
    run, *others = arguments.run
    if has("sae_lens") and not others:
        saelens(run, encoded, scratch / "saelens")
    if has("sparsify") and not others:
        sparsify(run, encoded, scratch / "sparsify")
    if has("circuit_tracer") and has_one_source:
        circuit_tracer(arguments.run, encoded, scratch / "cache")
        if arguments.model and not arguments.no_attribution:
            attribute(arguments.run, scratch)
    if has("delphi") and arguments.model and not others:
        delphi(run, encoded, scratch / "delphi")
    if has("neuronpedia") and not others:
        neuronpedia(run, encoded, scratch / "neuronpedia")
    if has("tensorboard") and not others:
        tensorboard(run, encoded, scratch / "tensorboard")
if failures:
    sys.exit("above the limit:\n" + "\n".join(failures))
