/**
 * A peer in a process of its own, spoken to in lines of JSON: protocol.py says how. It sleeps while others are measured.
 * @module
 */

import { createInterface, type Interface } from "node:readline";
import { Readable } from "node:stream";
import { UserError } from "../../core/errors.ts";

/** How a peer introduces itself. */
interface Greeting {
  readonly peer: string;
  readonly variants: readonly string[];
}

/** A running peer. */
export class Child {
  /** What it is, with its version. */
  readonly peer: string;
  /** What it can be asked to do. */
  readonly variants: readonly string[];
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(
    process: Deno.ChildProcess,
    reader: Interface,
    lines: AsyncIterator<string>,
    { peer, variants }: Greeting,
  ) {
    this.peer = peer;
    this.variants = variants;
    this.#process = process;
    this.#reader = reader;
    this.#stdin = process.stdin.getWriter();
    this.#lines = lines;
  }

  /**
   * Starts a peer and waits until it is warm.
   *
   * @param program The executable.
   * @param args Its arguments.
   * @param remedy What to do when it does not start.
   * @returns The peer.
   * @throws {UserError} When it does not start; its own words are on stderr.
   */
  static async start(program: string, args: string[], remedy: string): Promise<Child> {
    const fail = (what: string) =>
      new UserError({ action: `compare with ${args[0]}`, requirement: `${program} must run it`, found: what, remedy });
    let process: Deno.ChildProcess;
    try {
      process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
    } catch (error) {
      throw fail((error as Error).message);
    }
    const reader = createInterface({ input: Readable.fromWeb(process.stdout as never) });
    const lines = reader[Symbol.asyncIterator]();
    const first = await lines.next();
    if (first.done) throw fail("it ended at once");
    return new Child(process, reader, lines, JSON.parse(first.value));
  }

  /**
   * Runs a variant.
   *
   * @param variant One of its own.
   * @param count How often.
   * @returns Seconds for all of them together.
   * @throws {UserError} When the peer is gone.
   */
  async run(variant: string, count: number): Promise<number> {
    await this.#stdin.write(new TextEncoder().encode(`${JSON.stringify({ variant, count })}\n`));
    const answer = await this.#lines.next();
    if (answer.done) {
      const requirement = `${this.peer} must answer`;
      throw new UserError({ action: "go on comparing", requirement, found: "it ended", remedy: "see its message" });
    }
    return JSON.parse(answer.value).seconds;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.#stdin.close();
    this.#reader.close();
    await this.#process.status;
  }
}
