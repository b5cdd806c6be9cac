import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openGpu } from "../../core/gpu/device.ts";
import { candidateTiles } from "../../core/gpu/products.ts";
import { matmul } from "../../wgsl/shared/matmul.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const COMMANDS = [
  ...["train", "report", "evaluate", "analyze", "encode"],
  ...["ablate", "steer", "harvest", "bench", "doctor", "completions", "man"],
];
const ANALYSES = ["attribution", "coherence", "hierarchy", "importance", "layer"];

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

async function mtc(args: string[], env: Record<string, string> = {}, permissions = ["-A"]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", ...permissions, MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("mtc --help lists every command with a summary and an example", async () => {
  const { code, stdout } = await mtc(["--help"]);
  assert.equal(code, 0);
  for (const name of COMMANDS) assert.match(stdout, new RegExp(`^  ${name} .*[a-z]{3}`, "m"));
  assert.match(stdout, /^Example/m);
});

Deno.test("mtc analyze --help lists every analysis with a summary", async () => {
  const { stdout } = await mtc(["analyze", "--help"]);
  for (const name of ANALYSES) assert.match(stdout, new RegExp(`^  ${name} .*[a-z]{3}`, "m"));
});

Deno.test("mtc --version says what a report of a defect needs: version, commit, Deno, target, backend", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const stdout = [
    `mtc ${version}`,
    "commit unknown, run from its sources",
    `Deno ${Deno.version.deno}`,
    `target ${Deno.build.target}`,
    "WebGPU on vulkan\n",
  ].join("\n");
  const asked = { DENO_WEBGPU_BACKEND: "vulkan" };
  assert.deepEqual(await mtc(["--version"], asked), { code: 0, stdout, stderr: "" });
  assert.deepEqual(await mtc(["-V"], asked), { code: 0, stdout, stderr: "" });
});

for (const name of [...COMMANDS, ...ANALYSES.map((name) => `analyze ${name}`)]) {
  Deno.test(`mtc ${name}: help ends with a worked example, an unknown flag is refused`, async () => {
    const words = name.split(" ");
    const [help, unknown] = await Promise.all([mtc([...words, "--help"]), mtc([...words, "--no-such-flag"])]);
    assert.equal(help.code, 0);
    assert.match(help.stdout, new RegExp(`\\nExamples?:\\n(.*\\n)*.*\\bmtc ${name}\\b`));
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /^mtc: unknown option '--no-such-flag'.*\n$/);
    assert.equal(unknown.stdout, "");
  });
}

Deno.test("the nearest name is offered for a misspelt command or flag", async () => {
  assert.deepEqual(await mtc(["trian"]), {
    code: 2,
    stdout: "",
    stderr: "mtc: unknown command 'trian' (Did you mean train?)\n",
  });
  assert.deepEqual(await mtc(["doctor", "--jsn"]), {
    code: 2,
    stdout: "",
    stderr: "mtc: unknown option '--jsn' (Did you mean --json?)\n",
  });
});

Deno.test("an unknown flag is named before a required one that is missing", async () => {
  const [misspelt, missing] = await Promise.all([mtc(["evaluate", "--rum", "x"]), mtc(["evaluate"])]);
  assert.deepEqual(misspelt, { code: 2, stdout: "", stderr: "mtc: unknown option '--rum' (Did you mean --run?)\n" });
  assert.deepEqual(missing, { code: 2, stdout: "", stderr: "mtc: option '-r, --run <dir>' is required\n" });
});

Deno.test("without a command the help goes to stderr and the exit code is 2", async () => {
  const { code, stdout, stderr } = await mtc([]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /^Usage: mtc/);
});

Deno.test("a failure is one sentence and exit code 1: no adapter", { ignore: Deno.build.os !== "linux" }, async () => {
  const none = { VK_DRIVER_FILES: "/none", VK_ICD_FILENAMES: "/none", DENO_WEBGPU_BACKEND: "vulkan" };
  const { code, stdout, stderr } = await mtc(["doctor", "--json"], none);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^mtc: Cannot run on this machine: WebGPU finds no usable adapter: VK_DRIVER_FILES names .*; unset .*\n$/,
  );
  const found = JSON.parse(stdout);
  assert.equal(found.adapter, null);
  assert.equal(found.problems.length, 1);
});

Deno.test("a defect keeps its stack and says how to report it", async () => {
  const { code, stderr } = await mtc(["doctor"], {}, ["--allow-read", "--allow-env"]);
  assert.equal(code, 1);
  assert.match(stderr, /NotCapable: Requires sys access[^]*\n {4}at [^]*\nmtc: this is a defect of mtc .* report it/);
});

Deno.test("mtc doctor finds a working GPU, the built-in model and text", async () => {
  const { code, stdout, stderr } = await mtc(["doctor", "--json"]);
  assert.equal(code, 0, stderr);
  const found = JSON.parse(stdout);
  assert.deepEqual(found.problems, []);
  assert.ok(found.adapter.gflops > 0);
  assert.ok(found.adapter.limits.maxStorageBufferBindingSize >= 2 ** 27);
  assert.ok(found.memory.available > 0 && found.disk.free > 0);
  assert.deepEqual(found.builtin, { model: 4_011_488, documents: 233 });
});

Deno.test("a GPU that is not here is refused, whether --adapter or MTC_ADAPTER asks for it", async () => {
  const outcomes = await Promise.all([
    mtc(["analyze", "weights", "--run", "nowhere", "--adapter", "no such GPU"]),
    mtc(["encode", "--run", "nowhere", "--text", "a"], { MTC_ADAPTER: "99" }),
  ]);
  for (const [i, wanted] of ["no such GPU", "99"].entries()) {
    assert.equal(outcomes[i].code, 2, outcomes[i].stderr);
    assert.match(outcomes[i].stderr, new RegExp(`^mtc: Cannot use the adapter "${wanted}": .* see .mtc doctor.`, "m"));
  }
  const { adapters, adapter } = JSON.parse((await mtc(["doctor", "--json", "--adapter", "0"])).stdout);
  assert.equal(adapter.name, adapters[0]);
});

Deno.test("mtc doctor says of features what openGpu gets, and what products make of subgroups", async () => {
  const [json, { stdout }] = await Promise.all([mtc(["doctor", "--json"]), mtc(["doctor"])]);
  const { features, subgroup_lanes, uses_subgroups } = JSON.parse(json.stdout).adapter;
  const gpu = await openGpu(() => {}), half = await openGpu(null, "f16").catch(() => null);
  assert.equal(features["timestamp-query"], gpu.trace !== null);
  assert.equal(features["shader-f16"], half !== null);
  if (gpu.isCpu) {
    // On other adapters openGpu does not ask for them.
    assert.equal(features.subgroups, gpu.device.features.has("subgroups" as GPUFeatureName));
    const [least, most] = subgroup_lanes ?? [0, 0];
    assert.equal(gpu.subgroupLanes, least === most ? least : 0);
  }
  const sources = candidateTiles(gpu).map((tile) => matmul(tile, "f32", "none").source);
  assert.equal(uses_subgroups, sources.some((source) => source.includes("subgroup")));
  const lanes = [...new Set(subgroup_lanes)].join(" to ");
  const said = !features.subgroups
    ? "no"
    : `yes, ${lanes} lanes ${uses_subgroups ? "(matrix products pass" : "(not used"}`;
  assert.ok(stdout.split("\n").some((line) => line.includes(`  subgroups  `) && line.includes(said)), stdout);
  gpu.device.destroy();
  half?.device.destroy();
});

Deno.test(
  "stdout that takes no more is told in a sentence, stderr that takes none keeps nothing from its work, a reader that left is no failure",
  {
    ignore: Deno.build.os !== "linux",
  },
  async () => {
    const shell = async (line: string) => {
      const args = ["-c", `${Deno.execPath()} run --no-check -A ${MAIN} ${line}`];
      const { code, stdout, stderr } = await new Deno.Command("bash", { args, stdin: "null" }).output();
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    };
    const told =
      /^mtc: Cannot write to stdout: what it leads to must take the result, No space left on device .*; free some space or lead it elsewhere\n$/;
    for (const line of ["--help", "completions bash"]) {
      const { code, stderr } = await shell(`${line} >/dev/full`);
      assert.match(stderr, told, line);
      assert.equal(code, 1);
      assert.deepEqual(
        await shell(`${line} | true; exit \${PIPESTATUS[0]}`),
        { code: 0, stdout: "", stderr: "" },
        line,
      );
    }
    const out = await Deno.makeTempDir();
    try {
      const silent = await shell(`harvest --layers 0 --contexts 1 --context 8 --out ${out} --json 2>/dev/full`);
      assert.equal(silent.code, 0);
      assert.equal(JSON.parse(silent.stdout).contexts, 1);
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  },
);
