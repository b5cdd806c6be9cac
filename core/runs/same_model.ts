/**
 * A run's language model and text, told from others.
 * @module
 */

import { UserError } from "../errors.ts";
import { configOf } from "../model/config.ts";
import { type ModelFiles, modelFingerprint } from "../model/files.ts";
import { describeText, isSameText, type TextSummary } from "../text/summary.ts";
import type { TranscoderConfig } from "./config.ts";

/**
 * Makes sure that a model is the one that a run was trained on: another one, of the same shape or not, has other features.
 *
 * @param trained What the run's config.json says of its model.
 * @param files The model at hand.
 * @param action What needs it, for the message.
 * @throws {UserError} Naming what differs: sizes, or else contents, which runs of older versions did not record.
 */
export async function requireSameModel(
  trained: TranscoderConfig["model"],
  files: ModelFiles,
  action: string,
): Promise<void> {
  const { layers, dModel, vocabSize } = configOf(files);
  const refuse = (what: string, then: string, now: string) =>
    new UserError({
      action,
      requirement: `${what} must be the ${then} that the run began with`,
      found: `they are ${now}`,
      remedy: `put ${trained.path ?? trained.name} back as it was, or give its new place with --model`,
    });
  const then = [trained.layers, trained.d_model, trained.vocab_size].join(", ");
  const now = [layers, dModel, vocabSize].join(", ");
  if (then !== now) throw refuse("the model's layers, width and vocabulary", then, now);
  if (trained.fingerprint === undefined) return;
  const fingerprint = await modelFingerprint(files), short = (digits: string) => `fingerprint ${digits.slice(0, 12)}`;
  if (fingerprint === trained.fingerprint) return;
  throw refuse("the model's weights and tokenizer", short(trained.fingerprint), short(fingerprint));
}

/**
 * Makes sure that a text is the one that a run was trained on: with another, the rest of the run would be another run's, what is held out
 * may have been trained on, and the reading set would hold other tokens.
 *
 * @param trained What the run's config.json says of its text.
 * @param now The text at hand.
 * @param action What needs it, for the message.
 * @throws {UserError} When they differ.
 */
export function requireSameText(trained: TranscoderConfig["data"], now: TextSummary, action: string): void {
  if (isSameText(trained, now)) return;
  throw new UserError({
    action,
    requirement: `the text's contents must be the ${describeText(trained)} that the run began with`,
    found: `they are ${describeText(now)}`,
    remedy: `put ${trained.name} back as it was, or give its new place with --data`,
  });
}
