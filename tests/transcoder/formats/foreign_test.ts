import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { findForeign } from "../../../core/transcoder/formats/foreign.ts";
import { writeCircuitTracerLayer } from "../../../core/transcoder/formats/circuit_tracer.ts";
import type { ForeignTranscoder } from "../../../core/transcoder/formats/layout.ts";
import { writeSaelens } from "../../../core/transcoder/formats/saelens.ts";
import { writeSparsify } from "../../../core/transcoder/formats/sparsify.ts";
import { randomTranscoder } from "../random_transcoder.ts";
import {
  circuitTracer,
  type ForeignFiles,
  gemmaScope,
  gemmaScope2,
  saelens,
  sparsify,
  writeForeign,
} from "./foreign_files.ts";

const SHAPE = { d_in: 5, d_out: 3, groups: [7] }, SQUARE = { d_in: 4, d_out: 4, groups: [7] };
const jumps = Float32Array.of(0, 0.5, 1e-30, Infinity, 2, 0.25, 0);
const plain = randomTranscoder(SHAPE, jumps, 1), relu = { ...plain, thresholds: new Float32Array(7) };
const skipping = randomTranscoder({ ...SHAPE, skip: true }, jumps, 2),
  reluSkipping = { ...skipping, thresholds: new Float32Array(7) };
const square = randomTranscoder({ ...SQUARE, skip: true }, 0, 3);

async function inDirectory<T>(name: string, use: (directory: string) => Promise<T>): Promise<T> {
  const root = await Deno.makeTempDir();
  try {
    return await use(`${root}/${name}`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function opened<T>(path: string, use: (foreign: ForeignTranscoder) => Promise<T> | T): Promise<T> {
  const [place] = await findForeign(path), foreign = await place.open();
  try {
    return await use(foreign);
  } finally {
    await foreign.close();
  }
}

const scope = {
  tool: "gemma-scope",
  source: "ln2.hook_normalized",
  target: "hook_mlp_out",
  layer: 17,
  model: null,
} as const;
const resid = { source: "blocks.4.hook_resid_mid", target: "blocks.4.hook_mlp_out", layer: null, model: null } as const;
const traced = {
  tool: "circuit-tracer",
  source: "hook_resid_mid",
  target: "hook_mlp_out",
  layer: 4,
  model: null,
} as const;
const at4 = "model.layers.4";
const scope2 = {
  ...{ tool: "gemma-scope-2", layer: 4, model: "gemma-v3-270m-pt" },
  ...{ source: `${at4}.pre_feedforward_layernorm.output`, target: `${at4}.post_feedforward_layernorm.output` },
} as const;

/** Each tool's layout, and what is read back of it. */
const LAYOUTS: [name: string, folder: string, files: ForeignFiles, whole: object, known: object][] = [
  ["Gemma Scope", "layer_17/width_16k", gemmaScope(plain), plain, { ...scope, activation: "jump-relu" }],
  ["Gemma Scope 2", "layer_4_width_16k", gemmaScope2(plain), plain, { ...scope2, activation: "jump-relu" }],
  ["Gemma Scope 2 with an affine connection", "layer_4_affine", gemmaScope2(skipping), skipping, { ...scope2 }],
  ["SAELens, jumprelu_transcoder", "s", saelens(plain, "jumprelu_transcoder"), plain, {
    tool: "saelens",
    ...resid,
    activation: "jump-relu",
  }],
  ["SAELens, jumprelu_skip_transcoder", "s", saelens(skipping, "jumprelu_skip_transcoder"), skipping, { ...resid }],
  ["SAELens, transcoder", "s", saelens(plain, "transcoder"), relu, { ...resid, activation: "relu" }],
  ["SAELens, skip_transcoder", "s", saelens(skipping, "skip_transcoder"), reluSkipping, {
    ...resid,
    activation: "relu",
  }],
  [
    "SAELens with nested widths",
    "s",
    saelens(plain, "jumprelu_transcoder", { matryoshka_widths: [2, 6, 7], model_name: "gemma-2-2b" }),
    { ...plain, shape: { ...SHAPE, groups: [2, 4, 1] } },
    { ...resid, model: "gemma-2-2b" },
  ],
  [
    "sparsify",
    "layers.4.mlp",
    sparsify(square, 3),
    { ...square, topK: 3 },
    {
      tool: "sparsify",
      source: "layers.4.mlp.input",
      target: "layers.4.mlp.output",
      layer: 4,
      activation: "top-k",
      topK: 3,
    },
  ],
  ["circuit-tracer", "c", circuitTracer(plain), plain, { ...traced, activation: "jump-relu" }],
  ["circuit-tracer with a skip connection", "c", circuitTracer(skipping), skipping, { ...traced }],
  [
    "circuit-tracer, top-k",
    "c",
    circuitTracer(plain, "activation: topk\nk: 2 # of each token\n"),
    { ...relu, topK: 2 },
    { ...traced, activation: "top-k", topK: 2 },
  ],
  ["circuit-tracer, relu", "c", circuitTracer(plain, "activation: relu\n"), relu, { ...traced, activation: "relu" }],
];

for (const [name, folder, files, whole, known] of LAYOUTS) {
  Deno.test(`${name}: what is written in its layout is read back bit for bit`, () =>
    inDirectory(folder, async (directory) => {
      await writeForeign(directory, files);
      await opened(directory, async (foreign) => {
        assert.deepEqual(await foreign.read(), whole);
        for (const [key, value] of Object.entries(known)) {
          assert.deepEqual(foreign[key as keyof ForeignTranscoder], value, key);
        }
      });
    }));
}

const AT_4 = {
  hook_name: "blocks.4.hook_resid_mid",
  hook_name_out: "blocks.4.hook_mlp_out",
  model_name: "m",
  context_size: 9,
  dataset_path: "t",
};
const WRITERS: [tool: string, write: (directory: string) => Promise<void>, whole: object][] = [
  ["SAELens", (directory) => writeSaelens(directory, skipping, { ...AT_4, prepend_bos: true }), skipping],
  ["circuit-tracer", (directory) => writeCircuitTracerLayer(directory, 4, skipping), skipping],
  ["sparsify", (directory) => writeSparsify(directory, square, 3), { ...square, topK: 3 }],
];

for (const [tool, write, whole] of WRITERS) {
  Deno.test(`${tool}: what mtc exports it imports again, bit for bit`, () =>
    inDirectory("layers.4.mlp", async (directory) => {
      await Deno.mkdir(directory);
      await write(directory);
      await opened(directory, async (foreign) => assert.deepEqual(await foreign.read(), whole));
    }));
}

Deno.test("a layer of circuit-tracer without thresholds is one of ReLU, and that is said", () =>
  inDirectory("c", async (directory) => {
    const { "activation_function.threshold": _, ...tensors } = circuitTracer(plain).tensors;
    await writeForeign(directory, { ...circuitTracer(plain), tensors });
    await opened(`${directory}/layer_4.safetensors`, async (foreign) => {
      assert.deepEqual([foreign.activation, await foreign.read()], ["relu", relu]);
      assert.match(foreign.remarks.join(), /no activation_function.threshold: it is taken for one of plain ReLU/);
    });
  }));

Deno.test("a set is found layer by layer, and a directory of directories", () =>
  inDirectory("set", async (directory) => {
    await writeForeign(directory, circuitTracer(plain));
    await writeForeign(directory, { ...circuitTracer(plain), weights: "layer_12.safetensors" });
    assert.deepEqual((await findForeign(directory)).map(({ path }) => path.slice(directory.length)), [
      "/layer_4.safetensors",
      "/layer_12.safetensors",
    ]);
    await Deno.rename(directory, `${directory}_whole`);
    for (const layer of [10, 9]) await writeForeign(`${directory}/layer_${layer}`, gemmaScope(plain));
    assert.deepEqual((await findForeign(directory)).map(({ path }) => path.slice(directory.length)), [
      "/layer_9/params.npz",
      "/layer_10/params.npz",
    ]);
  }));

const without = (files: ForeignFiles, name: string): ForeignFiles => {
  const { [name]: _, ...tensors } = files.tensors;
  return { ...files, tensors };
};
const changed = (files: ForeignFiles, name: string, shape: number[], fill = 1): ForeignFiles => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill);
  return { ...files, tensors: { ...files.tensors, [name]: { shape, data } } };
};
const configured = (files: ForeignFiles, name: string, changes: object): ForeignFiles => {
  const text = JSON.stringify({ ...JSON.parse(files.texts[name]), ...changes });
  return { ...files, texts: { ...files.texts, [name]: text } };
};
const jumping = saelens(plain, "jumprelu_transcoder"), kept = sparsify(square, 3);

/** What is wrong with files, and what is said of them. */
const FAULTS: [fault: string, files: ForeignFiles, said: string[]][] = [
  ["no threshold", without(gemmaScope(plain), "threshold"), ["it must hold W_enc", "it has no threshold"]],
  ["one threshold for all", changed(gemmaScope(plain), "threshold", []), ["threshold must be [7]", "it is []"]],
  ["a strange array", changed(gemmaScope(plain), "scaling_factor", [1]), ['it also holds "scaling_factor"']],
  ["a decoder of other features", changed(gemmaScope2(plain), "w_dec", [6, 3]), [
    "w_dec must be [7, 3]",
    "it is [6, 3]",
  ]],
  ["a weight that is NaN", changed(gemmaScope(plain), "b_enc", [7], NaN), [
    "every weight must be finite",
    "b_enc is NaN",
  ]],
  ["a threshold that is NaN", changed(jumping, "threshold", [7], NaN), ["every threshold must be a number"]],
  ["an autoencoder of SAELens", saelens(plain, "jumprelu"), ["its architecture must be one of", 'it is "jumprelu"']],
  ["scaled activations", configured(jumping, "cfg.json", { normalize_activations: "layer_norm" }), [
    "normalize_activations",
  ]],
  ["b_dec at the input", configured(jumping, "cfg.json", { apply_b_dec_to_input: true }), [
    "apply_b_dec_to_input must be false",
  ]],
  ["another activation", configured(jumping, "cfg.json", { activation_fn: "topk" }), ['activation_fn must be "relu"']],
  ["widths that do not fit", saelens(plain, "jumprelu_transcoder", { matryoshka_widths: [2, 6] }), [
    "must rise to its 7 features",
  ]],
  ["another width than that of the weights", configured(jumping, "cfg.json", { d_in: 9 }), [
    `its d_in must be the ${plain.shape.d_in} of its weights, it is 9`,
  ]],
  ["other features than those of the weights", configured(jumping, "cfg.json", { d_sae: 8 }), [
    "its d_sae must be the 7 of its weights, it is 8",
  ]],
  ["no features", configured(jumping, "cfg.json", { d_sae: 0 }), ["d_sae must be >=1, it is 0"]],
  ["heads put side by side", configured(jumping, "cfg.json", { reshape_activations: "hook_z" }), [
    'reshape_activations must be "none"',
  ]],
  ["no architecture", configured(jumping, "cfg.json", { architecture: undefined }), [
    "architecture must be there, it is missing",
  ]],
  ["other latents than those of the weights", configured(kept, "cfg.json", { num_latents: 1e9 }), [
    "its num_latents must be the 7 of its weights, it is 1000000000",
  ]],
  ["a skip connection unasked for", saelens(skipping, "jumprelu_transcoder"), ['it also holds "W_skip"']],
  ["no JSON", { ...jumping, texts: { "cfg.json": "{" } }, ["cfg.json", "complete JSON"]],
  ["an autoencoder of Gemma Scope 2", configured(gemmaScope2(plain), "config.json", { hf_hook_point_out: undefined }), [
    "autoencoder",
  ]],
  ["no config.json", { ...gemmaScope2(plain), texts: {} }, ["config.json must lie beside it"]],
  ["an autoencoder of sparsify", configured(kept, "cfg.json", { transcode: false }), [
    "transcode must be true",
    "autoencoder",
  ]],
  ["groupmax", configured(kept, "cfg.json", { activation: "groupmax" }), ['its activation must be "topk"']],
  ["no k", configured(kept, "cfg.json", { k: 0 }), ["cfg.json", "k must be"]],
  ["a cross-layer transcoder", circuitTracer(plain, "model_kind: cross_layer_transcoder\n"), [
    "must describe a transcoder_set",
  ]],
  ["a threshold below 0", changed(circuitTracer(plain), "activation_function.threshold", [7], -1), [
    "no threshold may be below 0",
  ]],
  ["top-k without k", circuitTracer(plain, "activation: topk\n"), ["must give k"]],
];

for (const [fault, files, said] of FAULTS) {
  Deno.test(`foreign files are refused: ${fault}`, () =>
    inDirectory("f", async (directory) => {
      await writeForeign(directory, files);
      await assert.rejects(opened(directory, (foreign) => foreign.read()), (error: Error) => {
        assert.ok(error instanceof UserError, error.stack);
        for (const part of said) assert.ok(error.message.includes(part), error.message);
        return true;
      });
    }));
}

Deno.test("a directory of nothing and a strange file are refused, and what can be imported is said", () =>
  inDirectory("n", async (directory) => {
    await assert.rejects(findForeign(directory), UserError);
    await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/run.py`, "");
    await assert.rejects(
      findForeign(directory),
      /params.npz or params.safetensors of Gemma Scope.* it holds none of these/,
    );
    await assert.rejects(findForeign(`${directory}/run.py`), /it is "run.py"/);
  }));
