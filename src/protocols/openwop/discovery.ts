import type { JsonObject, JsonText } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import { secretDigest } from "../../core/secret-digest.js";
import { LIMITS } from "./limits.js";

/** Versions of what this server writes (§3.2 RunSnapshot, Events). */
export const ENGINE_VERSION = 1;
export const EVENT_LOG_SCHEMA_VERSION = 1;
const PROTOCOL_VERSION = "1.0";
/** Seconds. */
const MAX_AGE_S = 300;

/** Fixture workflows of `graphs/openwop`: those of them that are served are told. */
const FIXTURES: ReadonlySet<string> = new Set(
  [
    "noop",
    "identity",
    "idempotent",
    "delay",
    "cancellable",
    "run-duration-breach",
    "multi-node",
    "failure",
    "cap-breach",
    "configurable-schema",
    "approval",
    "clarification",
    "interrupt-external-event",
    "interrupt-quorum",
    "interrupt-auth-required",
    "subworkflow-parent",
    "subworkflow-child",
    "stream-text",
    "message-reducer",
    "channel-ttl",
  ].map((name) => `conformance-${name}`),
);

/** What the discovery document depends on. */
export interface Served {
  readonly graphIds: readonly string[];
  /** Whether webhooks may be sent at all. */
  readonly webhooks: boolean;
  /** Heddle's. */
  readonly version: string;
}

/** What this server keeps to (docs/wire/openwop.md §3.2 Discovery): nothing that is not enforced. */
export function capabilities({ graphIds, webhooks, version }: Served): JsonObject {
  return {
    protocolVersion: PROTOCOL_VERSION,
    supportedEnvelopes: ["clarification.request"],
    schemaVersions: { "clarification.request": 1 },
    limits: { ...LIMITS },
    implementation: { name: "heddle", version, vendor: "heddle" },
    engineVersion: ENGINE_VERSION,
    eventLogSchemaVersion: EVENT_LOG_SCHEMA_VERSION,
    supportedTransports: ["rest"],
    fixtures: graphIds.filter((graphId) => FIXTURES.has(graphId)),
    replay: { supported: true, modes: ["replay", "branch"] },
    runs: { pauseResume: { supported: true, drainPolicies: ["immediate", "drain-current-node"] } },
    webhooks: { supported: webhooks, ...(webhooks && { signatureAlgorithms: ["v1"] }) },
    debugBundle: { supported: false },
    extensions: {
      interrupts: {
        profiles: [
          "openwop-interrupt-quorum",
          "openwop-interrupt-auth-required",
          "openwop-interrupt-external-event",
          "openwop-interrupt-cascade-cancel",
        ],
        signedCallbackTokens: true,
      },
    },
  };
}

/** A document that changes with the server alone: its text and the headers that let clients keep it. */
export function cacheable(document: JsonObject): {
  readonly text: JsonText;
  readonly etag: string;
  readonly cacheControl: string;
} {
  const text = toJsonText(document);
  return { text, etag: `"${secretDigest(text).slice(0, 32)}"`, cacheControl: `public, max-age=${MAX_AGE_S}` };
}

/** Whether a client has it already (RFC 9110 §13.1.2: compared weakly, `*` is any). */
export function isKnown(etag: string, ifNoneMatch: string | undefined): boolean {
  const tags = ifNoneMatch?.split(",").map((tag) => tag.trim().replace(/^W\//, "")) ?? [];
  return tags.includes(etag) || tags.includes("*");
}
