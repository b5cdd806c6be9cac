/**
 * Machines that have nothing: the smallest systems of Debian and Ubuntu, made by debootstrap and entered by chroot, as root on Debian.
 *
 * They have this machine's kernel and cores; what they show is what a distribution's files lack.
 * @module
 */

import { join, resolve } from "node:path";

const CACHE = Deno.env.get("MTC_FRESH_CACHE") ?? "/var/tmp/mtc_fresh_machines";
const SUITES: Readonly<Record<string, { mirror: string; options: string[]; script: string }>> = {
  bookworm: { mirror: "http://deb.debian.org/debian", options: [], script: "bookworm" },
  trixie: { mirror: "http://deb.debian.org/debian", options: [], script: "trixie" },
  // Debian's debootstrap may not know the newest names; Ubuntu's script is the same for all.
  jammy: ubuntu(),
  noble: ubuntu(),
};

function ubuntu() {
  const keyring = Deno.env.get("MTC_UBUNTU_KEYRING") ?? "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
  const options = ["--components=main,universe", `--keyring=${keyring}`];
  return { mirror: "http://archive.ubuntu.com/ubuntu", options, script: "jammy" };
}

/** What a program left. */
export interface Outcome {
  /** Its exit code. */
  readonly code: number;
  /** What it printed. */
  readonly stdout: string;
  /** What it said beside that. */
  readonly stderr: string;
}

async function run(command: string, args: readonly string[]): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/**
 * Runs a program that must succeed.
 *
 * @param command The program.
 * @param args Its arguments.
 * @returns What it printed.
 * @throws {Error} When it fails, with what it said.
 */
export async function must(command: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${stderr || stdout}`);
  return stdout;
}

/** The smallest system of a suite; made once, under another name until it is whole. */
async function makeBase(suite: string): Promise<string> {
  const { mirror, options, script } = SUITES[suite], base = join(CACHE, suite);
  if (await Deno.stat(base).then(() => true, () => false)) return base;
  await must("rm", "-rf", `${base}.part`);
  await must("debootstrap", "--variant=minbase", ...options, suite, `${base}.part`, mirror, script);
  await Deno.rename(`${base}.part`, base);
  return base;
}

/** How a line is run in a machine. */
export interface Inside {
  /** Whose rights it has. */
  readonly user: string;
  /** Where it begins. */
  readonly folder: string;
  /** Variables besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A line of a shell in a machine, with mounts and process numbers of its own, which go with it: what `exec` begins is process 1.
 *
 * @param root The machine's directory.
 * @param line The line.
 * @param inside Who runs it, and where.
 * @returns The command and its arguments.
 */
export function commandInside(root: string, line: string, { user, folder, env = {} }: Inside): [string, string[]] {
  const variables = { PATH: "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive", ...env };
  const environment = ["env", "-i", ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)];
  const enter = `mount -t proc proc ${root}/proc && cd ${root} && exec chroot --userspec=${user} ${root} "$@"`;
  const shell = ["sh", "-c", enter, "sh", ...environment, "sh", "-c", `cd ${folder} && ${line}`];
  return ["unshare", ["--mount", "--pid", "--fork", "--kill-child", ...shell]];
}

/**
 * Runs such a line to its end.
 *
 * @param root The machine's directory.
 * @param line The line.
 * @param inside Who runs it, and where.
 * @returns What it left.
 */
export async function runInside(root: string, line: string, inside: Inside): Promise<Outcome> {
  return await run(...commandInside(root, line, inside));
}

/**
 * Makes a machine and takes it away once it has been used.
 *
 * @param suite Its suite, for example `trixie`.
 * @param use What is done with it; gets its directory.
 */
export async function withMachine(suite: string, use: (root: string) => Promise<void>): Promise<void> {
  if (!(suite in SUITES)) throw new Error(`there is no suite ${suite}; there are ${Object.keys(SUITES).join(", ")}`);
  await Deno.mkdir(CACHE, { recursive: true });
  const base = await makeBase(suite);
  const root = resolve(await Deno.makeTempDir({ dir: CACHE, prefix: `${suite}.machine.` }));
  try {
    await must("cp", "-a", `${base}/.`, root);
    await Deno.chmod(root, 0o755);
    await Deno.copyFile("/etc/resolv.conf", join(root, "etc/resolv.conf"));
    await use(root);
  } finally {
    await must("rm", "-rf", "--one-file-system", root);
  }
}
