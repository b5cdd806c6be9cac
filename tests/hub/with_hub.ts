/** A hub of one's own for a test: the environment points at it and at an empty cache. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withVariables } from "./environment.ts";
import { HubServer, type Repo, tinyModel } from "./server.ts";

const NAMES = ["HF_ENDPOINT", "HF_HOME", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_SYMLINKS", "HF_HUB_CACHE"];

export const TINY_FILES = await tinyModel();
export const WEIGHTS = TINY_FILES["model.safetensors"];

export interface TestHub {
  server: HubServer;
  /** HF_HOME */
  home: string;
  /** The repository hf:test/tiny. */
  tiny: Repo;
  /** The paths below HF_HOME/hub, sorted; directories left out. */
  cached(): string[];
}

export async function withHub(
  work: (hub: TestHub) => Promise<void>,
  { repos = [], variables = {} }: { repos?: Repo[]; variables?: Record<string, string> } = {},
): Promise<void> {
  const home = await Deno.makeTempDir();
  const tiny: Repo = { kind: "model", name: "test/tiny", files: TINY_FILES };
  const server = new HubServer([tiny, ...repos]);
  const settings: Record<string, string> = { HF_ENDPOINT: server.endpoint, HF_HOME: home, ...variables };
  try {
    await withVariables(
      NAMES,
      settings,
      () => work({ server, home, tiny, cached: () => filesIn(join(home, "hub")) }),
    );
  } finally {
    await server.stop();
    await removeHome(home);
  }
}

/** Something once appeared in a home while it was being removed, beside test files that start processes, which have HF_HOME from here. */
async function removeHome(home: string, tries = 20): Promise<void> {
  try {
    await Deno.remove(home, { recursive: true });
  } catch (error) {
    if (tries === 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await removeHome(home, tries - 1);
  }
}

function filesIn(directory: string, prefix = ""): string[] {
  if (!existsSync(directory)) return [];
  return [...Deno.readDirSync(directory)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(join(directory, name), `${prefix}${name}/`) : [prefix + name]
  ).sort();
}

/** The script that fetches the model its argument names. */
export const FETCH = fileURLToPath(new URL("fetch_model.ts", import.meta.url));

/** `fetchModel` in a process of its own. */
export function fetchInProcess(reference: string, env: Record<string, string> = {}): Deno.ChildProcess {
  const args = ["run", "--no-check", "-A", FETCH, reference];
  return new Deno.Command(Deno.execPath(), { args, env, stdout: "piped", stderr: "piped" }).spawn();
}
