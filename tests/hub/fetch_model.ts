/** Fetches the model that the first argument names and prints its directory: a download that a test can kill. */
import { fetchModel } from "../../core/hub/models.ts";
import { parseConfig } from "../../core/model/config.ts";

console.log((await fetchModel(Deno.args[0], parseConfig)).directory);
