/**
 * Single features that a reader of a layer begins with, chosen by rule.
 * @module
 */

import type { LayerFeature } from "../../core/analysis/layer.ts";
import { COMPONENT_KINDS, type ComponentKind } from "../../core/analysis/attribution.ts";
import { KIND_NAMES } from "../attribution_table.ts";
import { coherentFeatures } from "../coherence_table.ts";
import { decimal, integer, percent, significant } from "../format.ts";
import { switchedOff } from "../importance_table.ts";
import { leastElsewhere } from "../layer_table.ts";
import { numeric, table } from "../markdown/markdown.ts";
import type { KnownLayer } from "./finding.ts";

/** Features that each reason gives. */
const EACH = 3;

/** A feature, and why it was chosen. */
export interface ChosenFeature {
  /** Index in the dictionary. */
  readonly feature: number;
  /** One reason or more. */
  readonly why: readonly string[];
}

/**
 * Chooses features: those that predictions miss most, the most coherent beyond chance, those that other layers have least, and the parent of
 * the largest family.
 *
 * @param known What is known of the layer.
 * @returns Each once, in this order.
 */
export function chosenFeatures({ importance, coherence, recorded: { layer, hierarchy } }: KnownLayer): ChosenFeature[] {
  const missed = importance ? switchedOff(importance).filter(({ effect: { ce_rise_ci95: [low] } }) => low > 0) : [];
  const reasons: { feature: number; why: string }[] = [
    ...missed.slice(0, EACH).map(({ feature, effect: { ce_rise } }) => {
      return { feature, why: `predictions lose ${significant(1000 * ce_rise, 2)}·10⁻³ nats without it` };
    }),
    ...(coherence ? coherentFeatures(coherence) : []).slice(0, EACH).map(({ feature, coherence }) => {
      return { feature, why: `coherence ${decimal(coherence, 2)}` };
    }),
    ...leastElsewhere(layer.features).slice(0, EACH).map(({ feature, best_elsewhere }) => {
      return { feature, why: `at most ${decimal(best_elsewhere!, 2)} with any feature of another layer` };
    }),
    ...(hierarchy?.families ?? []).slice(0, 1).map(({ parent, children }) => {
      return { feature: parent, why: `parent of ${integer(children.length)}` };
    }),
  ];
  const grouped = Map.groupBy(reasons, ({ feature }) => feature);
  return [...grouped].map(([feature, of]) => ({ feature, why: of.map(({ why }) => why) }));
}

/** The chosen features, a row each. */
export function chosenTable(chosen: readonly ChosenFeature[], known: KnownLayer): string {
  const { recorded: { layer, overview }, named, context } = known;
  const rows = new Map(layer.features.map((one) => [one.feature, one]));
  return table(
    [numeric("Feature"), "Why", "Known by", numeric("R2 of the token"), "Lifted most by", "Where it is strongest"],
    chosen.map(({ feature, why }) => {
      const one = rows.get(feature), { strongest } = overview.features[feature];
      return [
        ...[String(feature), why.join("; "), named(feature)],
        one ? decimal(one.explained.token.r2, 2) : "–",
        one ? mainShare(one) : "–",
        strongest < 0 ? "" : context(strongest),
      ];
    }),
  );
}

function mainShare({ shares }: LayerFeature): string {
  if (shares === null) return "–";
  const main = COMPONENT_KINDS.reduce<ComponentKind>((a, b) => shares[b] > shares[a] ? b : a, COMPONENT_KINDS[0]);
  return `${KIND_NAMES[main]} (${percent(shares[main], 0)})`;
}
