import type { Caller } from "../../../core/auth.js";
import type { Exchange } from "../../../http/exchange.js";
import { runNotFound } from "../errors.js";
import type { RunAccess } from "../run-access.js";
import type { RunRecord } from "../run-record.js";
import { tenantOfRun } from "./views.js";
import { partsOf, unprojected } from "./wire-id.js";

/** A bound id of the path, in any of its three forms: `acme~2Fr`, `acme%2Fr` (decoded by the router), `acme/r`. */
export function pathId(exchange: Pick<Exchange, "param">, name: string): string {
  const tenant = exchange.param("tenant");
  const own = exchange.param(name);
  return tenant === "" ? (unprojected(own) ?? own) : `${unprojected(tenant) ?? tenant}/${own}`;
}

/**
 * The run that a bound id names.
 * @throws OpenwopRefusal `not_found`, also for a run of another tenant than the id says
 */
export async function runOf(
  access: RunAccess,
  caller: Caller,
  id: string,
  action: Parameters<RunAccess>[2] = "read",
): Promise<RunRecord> {
  const parts = partsOf(id);
  if (parts === null) throw runNotFound(id);
  const record = await access(caller, parts.own, action);
  if (tenantOfRun(record) !== parts.tenant) throw runNotFound(id);
  return record;
}
