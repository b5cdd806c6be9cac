import assert from "node:assert/strict";
import { KERNELS } from "../../core/bench/catalogue.ts";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));

async function bench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", "-A", MAIN, "bench", ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("mtc bench --json: a small step and the embedded pass, each kernel with its work, time and share", async () => {
  const { code, stdout, stderr } = await bench("--dictionary", "64", "--batch", "32", "--repeats", "1", "--json");
  assert.equal(code, 0, stderr);
  const { adapter, roofline, workloads, projection } = JSON.parse(stdout);
  assert.match(adapter, /\w/);
  assert.ok(roofline.flops_per_s > 0 && roofline.bytes_per_s > 0);
  assert.equal(projection, null);
  assert.deepEqual(workloads.map(({ name }: { name: string }) => name), [
    "Training step",
    "Forward pass",
    "Whole model",
  ]);
  const [step, pass, whole] = workloads;
  assert.equal(step.sizes, "32 tokens × 128 → 64 features, k 32");
  assert.equal(step.tokens, 32);
  const names = new Set(KERNELS.map(({ name }) => name));
  for (const { wall_ms, wall_range_ms: [least, most], host_ms, total, kernels } of workloads) {
    assert.ok(host_ms > 0 && least > 0 && least <= wall_ms && wall_ms <= most);
    for (const { kernel, dispatches, flops, bytes, milliseconds, roofline: share } of kernels) {
      assert.ok(names.has(kernel), kernel);
      assert.ok(dispatches >= 1 && flops >= 0 && bytes > 0, kernel);
      if (milliseconds !== null) assert.ok(milliseconds > 0 && share.share > 0, kernel);
    }
    assert.equal(total.flops, kernels.reduce((sum: number, { flops }: { flops: number }) => sum + flops, 0));
  }
  const product = step.kernels.find(({ kernel }: { kernel: string }) => kernel.startsWith("matmul"));
  assert.equal(product.flops, 2 * 32 * 128 * 64);
  const products = pass.kernels.filter(({ kernel }: { kernel: string }) => kernel.startsWith("matmul"));
  // Five layers: queries, keys and values, attention's output, gate and up with GeGLU (5 per sum), down.
  const perToken = 2 * 128 * (256 + 128 + 1024 + 512) + 5 * 1024;
  assert.equal(
    products.reduce((sum: number, { flops }: { flops: number }) => sum + flops, 0),
    5 * pass.tokens * perToken,
  );
  // All six layers, and the vocabulary of 4,096 in the head.
  const ofModel = whole.kernels.filter(({ weight }: { weight: string | null }) => weight !== null);
  assert.equal(
    ofModel.reduce((sum: number, { flops }: { flops: number }) => sum + flops, 0),
    whole.tokens * (6 * perToken + 2 * 128 * 4096),
  );
});

Deno.test("mtc bench --model: each matrix of a Gemma-3 of its own, to the layer that is asked for and whole", async () => {
  const model = fileURLToPath(new URL("../golden/gemma3/window", import.meta.url));
  const args = [
    "--model",
    model,
    "--layers",
    "1,3",
    "--context",
    "24",
    "-d",
    "64",
    "--batch",
    "32",
    "-r",
    "1",
    "--json",
  ];
  const { code, stdout, stderr } = await bench(...args);
  assert.equal(code, 0, stderr);
  const [step, pass, whole] = JSON.parse(stdout).workloads;
  assert.match(step.sizes, /^32 tokens × 20 → 64 features/);
  assert.match(pass.sizes, /^window, layers 0 to 3, [\d,]+ contexts of 24 tokens$/);
  assert.match(whole.sizes, /^window, 7 layers, loss over 67 tokens, /);
  const dispatches = ({ kernels }: typeof pass) =>
    Object.fromEntries(
      kernels.filter(({ weight }: { weight: string | null }) => weight !== null)
        .map(({ weight, dispatches }: { weight: string; dispatches: number }) => [weight, dispatches]),
    );
  const perLayer = (layers: number) => ({
    ...{ "q_proj+k_proj+v_proj": layers, "o_proj": layers, "gate_proj+up_proj": layers, "down_proj": layers },
  });
  assert.deepEqual(dispatches(pass), perLayer(4));
  assert.deepEqual(dispatches(whole), { ...perLayer(7), vocabulary: 1 });
  assert.deepEqual(dispatches(step), {});
  for (const { embedding_ms, host_ms } of [pass, whole]) assert.ok(embedding_ms > 0 && embedding_ms < host_ms);
  assert.equal(step.embedding_ms, null);
});

Deno.test("mtc bench prints tables of at most 100 columns; --kernel lists only some kernels", async () => {
  const { code, stdout, stderr } = await bench("-d", "64", "--batch", "32", "-r", "1", "--kernel", "norm");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^Roofline, measured in this run: [\d.,]+ [GT]FLOP\/s in its largest product, [\d.,]+ GB\/s/m);
  assert.match(stdout, /^ {2}norm_add_norm +10 /m);
  assert.doesNotMatch(stdout, /decoder_step|matmul|Training step/);
  for (const line of stdout.split("\n")) assert.ok([...line].length <= 100, line);
});

Deno.test("mtc bench --show-shader prints a kernel's text, exactly the one that is named", async () => {
  const { code, stdout } = await bench("--show-shader", "decode");
  assert.equal(code, 0);
  assert.equal(stdout, KERNELS.find(({ name }) => name === "decode")!.source.trimEnd() + "\n");
});

for (
  const [args, message] of [
    [["--show-shader", "nonesuch"], /^mtc: Cannot find a kernel: .*"nonesuch", none does; .*\n$/],
    [["--kernel", "nonesuch"], /^mtc: Cannot find a kernel: /],
    [["--dictionary", "63"], /^mtc: Cannot divide --dictionary 63: /],
    [["--batch", "0"], /^mtc: Cannot read --batch: it must be a whole number above 0, it is "0"; give 1 or more\n$/],
    [["--shape", "7b"], /^mtc: .*--shape <name>.*2b/],
    [["--shape", "2b", "--model", "gemma"], /^mtc: .*--shape.*cannot be used with.*--model/],
    [["--layers", "9"], /^mtc: .*9/],
  ] as const
) {
  Deno.test(`mtc bench ${args.join(" ")} is refused with exit code 2`, async () => {
    const { code, stdout, stderr } = await bench(...args);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
    assert.match(stderr, message);
  });
}
