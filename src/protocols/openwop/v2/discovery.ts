import type { JsonObject } from "../../../core/json.js";
import { capabilities, ENGINE_VERSION, type Served } from "../discovery.js";
import { VERSION } from "./version.js";
import { EVENT_LOG_SCHEMA_VERSION } from "./views.js";

/** A family that is there, since the second major. */
const family = (facets: JsonObject = {}): JsonObject => ({
  status: "stable",
  since: VERSION,
  witness: "witnessable-unaided",
  ...facets,
});

/** The discovery document of the second major: closed, a record for each family that is served (docs/wire/openwop.md §3.9). */
export function capabilities2(served: Served): JsonObject {
  const { implementation, fixtures, limits, replay, schemaVersions, supportedEnvelopes } = capabilities(served);
  const { modes } = replay as { readonly modes: readonly string[] };
  return {
    protocolVersion: VERSION,
    protocolVersions: [VERSION],
    preferredVersion: VERSION,
    implementation,
    engineVersion: ENGINE_VERSION,
    eventLogSchemaVersion: EVENT_LOG_SCHEMA_VERSION,
    fixtures,
    limits: family(limits as JsonObject),
    schemaVersions: family({ versions: schemaVersions }),
    supportedEnvelopes: family({ kinds: supportedEnvelopes }),
    replay: family({ modes }),
    idempotency: family(),
    eventLog: family(),
    interrupt: family({ signedCallbackTokens: true }),
    subWorkflow: family(),
    ...(served.webhooks && { webhooks: family({ signatureAlgorithms: ["v1"] }) }),
  };
}
