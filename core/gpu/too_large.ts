/**
 * What an adapter cannot bind.
 * @module
 */

import { UserError } from "../errors.ts";

/** A tensor is larger than the adapter can bind at once; a smaller plan may fit. */
export class TooLargeToBind extends UserError {}
