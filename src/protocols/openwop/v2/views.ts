import type { JsonObject, JsonValue } from "../../../core/json.js";
import { asJsonText, isJsonObject, parseJsonText } from "../../../core/json.js";
import { ENGINE_VERSION } from "../discovery.js";
import type { OpenwopEvent } from "../event.js";
import type { RunRecord } from "../run-record.js";
import type { RunSnapshot } from "../snapshot-types.js";
import { tenantOf } from "../tenant.js";
import { nestedOptions } from "./configurable.js";
import { bound, projected } from "./wire-id.js";

/** Of event logs as the second major writes them. */
export const EVENT_LOG_SCHEMA_VERSION = 3;

/** Members of payloads that name runs. */
const RUN_IDS = ["runId", "parentRunId", "sourceRunId", "childRunId"] as const;

/** Tenant of a run, as its ids have it. */
export function tenantOfRun({ tenantId, caller }: Pick<RunRecord, "tenantId" | "caller">): string {
  return tenantId ?? tenantOf(caller);
}

export function boundRunId(record: Pick<RunRecord, "tenantId" | "caller" | "runId">): string {
  return bound(tenantOfRun(record), record.runId);
}

/** Links to a run, each id one segment. @param url of a path of this mount */
export function linksTo(
  record: RunRecord,
  url: (path: string) => string,
): { readonly eventsUrl: string; readonly statusUrl: string } {
  const statusUrl = url(`/runs/${projected(boundRunId(record))}`);
  return { eventsUrl: `${statusUrl}/events`, statusUrl };
}

/** An event document of the second major. @param event as the first has it */
export function eventView(event: JsonObject, record: RunRecord): JsonObject {
  const { payload = null } = event;
  return {
    ...event,
    runId: boundRunId(record),
    payload: isJsonObject(payload) ? withBoundIds(payload, record) : payload,
    schemaVersion: EVENT_LOG_SCHEMA_VERSION,
    engineVersion: ENGINE_VERSION,
  };
}

/** A snapshot of the second major: an owner always, options nested. @param snapshot as the first has it */
export function snapshotView(snapshot: JsonObject, record: RunRecord): JsonObject {
  const tenant = tenantOfRun(record);
  const { childRuns, interrupt } = snapshot;
  const children = Array.isArray(childRuns) ? childRuns.filter((one: JsonValue) => isJsonObject(one)) : [];
  return {
    ...withBoundIds(snapshot, record),
    configurable: nestedOptions(record.configurable),
    engineVersion: ENGINE_VERSION,
    eventLogSchemaVersion: EVENT_LOG_SCHEMA_VERSION,
    owner: { tenant, subject: subjectOf(record, tenant) },
    ...(isJsonObject(interrupt) && { interrupt: withLinks(interrupt) }),
    ...(children.length > 0 && { childRuns: children.map((child) => withBoundIds(child, record)) }),
  };
}

/** Links to an interrupt lie at the second major's paths. */
function withLinks(interrupt: JsonObject): JsonObject {
  const links = Object.entries(interrupt).flatMap(([name, url]) =>
    typeof url === "string" && /^(?:callback|inspect)Url$/.test(name)
      ? [[name, url.replace("/v1/interrupts/", "/interrupts/")] as const]
      : [],
  );
  return { ...interrupt, ...Object.fromEntries(links) };
}

/** A document of the first major as plain JSON. */
export function plain(document: RunSnapshot | OpenwopEvent): JsonObject {
  const value = parseJsonText(asJsonText(JSON.stringify(document)));
  return isJsonObject(value) ? value : {};
}

/** Who created a run (docs/wire/openwop.md §3.9; [D] in README.md). */
function subjectOf({ caller: { identity } }: RunRecord, tenant: string): JsonObject {
  return {
    issuer: "heddle",
    subjectId: identity ?? "anonymous",
    tenant,
    lane: "tenant",
    kind: identity === null ? "anonymous" : "user",
  };
}

function withBoundIds(said: JsonObject, record: RunRecord): JsonObject {
  const changed: Record<string, JsonValue> = {};
  for (const name of RUN_IDS) {
    const id = said[name];
    if (typeof id === "string" && !id.includes("/")) changed[name] = bound(tenantOfRun(record), id);
  }
  return { ...said, ...changed };
}
