/**
 * `mtc analyze attribution --feature`: one feature, component by component on held-out text, or token by token on a text that is given.
 * @module
 */

import {
  ATTRIBUTION_DEFINITIONS,
  type Component,
  type FeatureTokens,
  partsAt,
} from "../../core/analysis/attribution.ts";
import { configOf } from "../../core/model/config.ts";
import { tapName } from "../../core/model/sites.ts";
import { attributionTaps, readSum, splitContexts, type SplitToken } from "../../core/passes/attribution.ts";
import { textContexts } from "../../core/passes/encode_text.ts";
import { readWriteCosines } from "../../core/passes/reads_writes.ts";
import type { StoredFeatureAttribution } from "../../core/runs/attribution.ts";
import { type FinishedTranscoder, loadRunModel } from "../../core/runs/finished.ts";
import { loadTokenizer } from "../../core/text/tokenizer.ts";
import { groupOf } from "../../core/transcoder/shape.ts";
import * as tables from "../../reports/attribution_table.ts";
import { integer, percent, significant } from "../../reports/format.ts";
import { visibleToken } from "../../reports/tokens.ts";
import { loadVisibly } from "../open_model.ts";
import { type AttributionOptions, measure, tokensOf } from "./attribution_measures.ts";
import { onModel } from "./on_model.ts";
import { type Analysed, print } from "./output.ts";

/**
 * Shows what a feature is made of where it fires on held-out text.
 *
 * @param transcoders Of one run.
 * @param options Which feature, and how much text.
 * @throws {UserError} As the parts do.
 */
export async function showFeature(
  transcoders: readonly FinishedTranscoder[],
  options: AttributionOptions & { readonly feature: number },
): Promise<void> {
  const is = (one: StoredFeatureAttribution) => one.feature === options.feature;
  const measured = await measure(transcoders, options, (features) => features.filter(is));
  const analysed = measured.map(({ transcoder, result }) => {
    const { features, kinds: _, ...others } = result, found = features.find(is) ?? null;
    const components = result.components.map(({ name, kind }, k) => ({
      ...{ name, kind, part: found && found.parts[k], typical: found && found.typical[k] },
    }));
    return { transcoder, result: { ...others, feature: options.feature, found, components }, whole: result };
  });
  const wholes = new Map(analysed.map(({ transcoder, whole }) => [transcoder, whole]));
  type Shown = Analysed<typeof analysed[0]["result"]>;
  const text = ({ transcoder, result: { feature, found, tokens, source, is_norm_fixed } }: Shown) => {
    const title = `${transcoder.name.title}, feature ${feature}`;
    if (found === null) return `${title}: it fires on none of ${integer(tokens)} held-out tokens; give more --tokens`;
    const { group, fires, activation, tokens: told, cosine } = found;
    return [
      `${title} (group ${group}), which reads ${source}: it fires on ${percent(fires / tokens, 2)} of ${
        integer(tokens)
      } ` +
      `held-out tokens, mean activation ${significant(activation, 3)}`,
      tables.featureTable(wholes.get(transcoder)!, found),
      ...told ? [tables.tokenLines(told, cosine, visibleToken)] : [],
      ...is_norm_fixed ? [`Norm: ${ATTRIBUTION_DEFINITIONS.norm}`] : [],
    ].join("\n\n");
  };
  await print(
    options.run,
    options,
    analysed,
    text,
    ({ result: { feature, components } }) => components.map((component) => ({ feature, ...component })),
  );
}

/** What is told of a feature on a text. */
interface FeatureOnText {
  feature: number;
  group: number;
  source: string;
  is_norm_fixed: boolean;
  bias: number;
  components: Component[];
  cosine: number | null;
  tokens_told: FeatureTokens;
  tokens: tables.TextPart[];
  definitions: Record<string, string>;
}

/**
 * Shows what a feature's pre-activation is made of at each token of a text.
 *
 * @param transcoders Of one run.
 * @param options Which feature, and the text.
 * @throws {UserError} As the parts do.
 */
export async function showText(
  transcoders: readonly FinishedTranscoder[],
  options: AttributionOptions & { readonly feature: number; readonly text: string },
): Promise<void> {
  const { feature, model } = options;
  const analysed = await onModel(transcoders, model, async (gpu, files) => {
    const found: Analysed<FeatureOnText>[] = [], { tokenText, encode, bosId } = loadTokenizer(files);
    for (const transcoder of transcoders) {
      const { config: { source, context, include_bos: includeBos, groups } } = transcoder;
      const decoder = await loadVisibly((onLoading) =>
        loadRunModel(gpu, files, [transcoder], { taps: attributionTaps(source), maxTokens: context, onLoading })
      );
      const sum = await readSum(transcoder, files.weights, configOf(files));
      const contexts = textContexts(encode(options.text), bosId, context);
      const split = await splitContexts({ gpu, decoder, transcoder, sum, contexts, includeBos });
      const bias = transcoder.transcoder.weights.encoderBias[feature],
        cosines = readWriteCosines(sum.reads, transcoder);
      const [told] = await tokensOf(gpu, files, transcoder, sum, [feature]);
      const result: FeatureOnText = {
        ...{ feature, group: groupOf(groups, feature), source: tapName(source), is_norm_fixed: sum.epsilon !== null },
        ...{ bias, components: [...sum.components], cosine: cosines && cosines[feature], tokens_told: told },
        tokens: split.map((token) => {
          const parts = [...partsAt(sum.reads, feature, token.split, token.row, transcoder.transcoder.shape.d_in)];
          const token_id = contexts[token.context].ids[token.position];
          return {
            ...{ context: token.context, position: token.position, token_id, token: tokenText(token_id) },
            ...{ activation: activationAt(token, feature), pre_activation: parts.reduce((a, b) => a + b, bias), parts },
          };
        }),
        definitions: { ...ATTRIBUTION_DEFINITIONS },
      };
      found.push({ transcoder, result });
    }
    return found;
  });
  const text = ({ transcoder, result }: Analysed<FeatureOnText>) => {
    const { group, source, components, bias, tokens, tokens_told, cosine, is_norm_fixed } = result;
    const visible = tokens.map((one) => ({ ...one, token: visibleToken(one.token) }));
    return [
      `${transcoder.name.title}, feature ${feature} (group ${group}), which reads ${source}`,
      tables.textTable(visible, components, bias),
      tables.tokenLines(tokens_told, cosine, visibleToken),
      ...is_norm_fixed ? [`Norm: ${ATTRIBUTION_DEFINITIONS.norm}`] : [],
    ].join("\n\n");
  };
  await print(
    options.run,
    options,
    analysed,
    text,
    ({ result: { components, tokens } }) =>
      tokens.map(({ parts, ...token }) => ({
        ...{ feature, ...token },
        ...Object.fromEntries(components.map(({ name }, k) => [name, parts[k]])),
      })),
  );
}

function activationAt({ split: { features: { rowStart, index, value } }, row }: SplitToken, feature: number): number {
  for (let entry = rowStart[row]; entry < rowStart[row + 1]; entry++) if (index[entry] === feature) return value[entry];
  return 0;
}
