/** Random contexts as a text, without a tokenizer. */

import type { ContextSource } from "../../core/passes/over_text.ts";
import { emptyBatch, sliceBatch, START, type TokenBatch } from "../../core/text/contexts.ts";
import { uniform } from "../random.ts";

/** Contexts of random ids behind BOS, in document 0. */
export function randomText(contexts: number, context: number, seed: number): TokenBatch {
  const next = uniform(seed),
    ids = Uint32Array.from(
      { length: contexts * context },
      (_, i) => i % context === 0 ? 2 : 5 + Math.floor(4000 * next()),
    );
  return { ...emptyBatch(contexts, context), ids };
}

/** Contexts as a source that ends, or starts over as often as it is asked. */
export function sourceOf(text: TokenBatch, startsOver = false): ContextSource & { given: number } {
  return {
    given: 0,
    next(wanted) {
      const first = startsOver ? this.given % text.contexts : this.given;
      const contexts = Math.min(wanted, text.contexts - first), batch = sliceBatch(text, first, first + contexts);
      this.given += contexts;
      const epoch = startsOver ? Math.floor(this.given / text.contexts) : 0;
      return Promise.resolve({ batch, position: { ...START, epoch }, done: !startsOver && contexts < wanted });
    },
  };
}
