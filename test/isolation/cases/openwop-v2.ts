import { HOOK, HOOK_SECRET, KEYED_RUN } from "../protocol-things.js";
import type { Probe } from "../served.js";
import type { Ids } from "../things.js";
import { BULK, forgedToken } from "./openwop.js";
import type { Cases, Variant } from "./variant.js";

const P = "/openwop";
const SPOKEN = { "openwop-version": "2.0" };

type About = (
  ids: Ids,
  own: Ids,
) => { readonly path: string; readonly body?: unknown; readonly headers?: Probe["headers"] };
const asked = (name: string, about: About): Variant => ({
  name,
  request(ids, own) {
    const { path, headers, ...rest } = about(ids, own);
    return { path: P + path, ...rest, headers: { ...SPOKEN, ...headers } };
  },
});

/** Runs by all names that they have or might have: in the tenant of their owner, and in that of who asks. */
const NAMED = {
  ended: (ids: Ids) => [ids.tenant, ids.wopEnded],
  waiting: (ids: Ids) => [ids.tenant, ids.wopWaiting],
  running: (ids: Ids) => [ids.tenant, ids.wopRunning],
  "ended, in one's own tenant": (ids: Ids, own: Ids) => [own.tenant, ids.wopEnded],
  "running, in one's own tenant": (ids: Ids, own: Ids) => [own.tenant, ids.wopRunning],
} as const satisfies Record<string, (ids: Ids, own: Ids) => readonly [string, string]>;

/** By the two forms of their paths. */
function ofRuns(method: string, rest: string, more: (ids: Ids) => Omit<Probe, "path"> = () => ({})): Cases {
  const variants = (separator: string) =>
    Object.entries(NAMED).map(([name, nameOf]) =>
      asked(name, (ids, own) => ({ path: `/runs/${nameOf(ids, own).join(separator)}${rest}`, ...more(ids) })),
    ) as unknown as readonly [Variant, ...Variant[]];
  const route = rest.replace(/\?.*/, "").replace("/artifacts/one", "/artifacts/{artifact_id}");
  const path = route.replace("/interrupts/ask", "/interrupts/{node_id}");
  return {
    [`${method} ${P}/runs/{run_id}${path}`]: variants("~2F"),
    [`${method} ${P}/runs/{tenant}/{run_id}${path}`]: variants("/"),
  };
}

const alone = (variant: Variant): Variant => ({ ...variant, isAlone: true });
const created = (name: string, more: (ids: Ids) => object, headers?: (ids: Ids) => Probe["headers"]): Variant =>
  alone(asked(name, (ids) => ({ path: "/runs", body: { ...KEYED_RUN, ...more(ids) }, headers: headers?.(ids) ?? {} })));
const link = (ids: Ids) => `/interrupts/${forgedToken(ids)}`;
const HOOK_BODY = { url: HOOK, events: ["nothing.happened"], secret: HOOK_SECRET };

/** The second major over the same runs (docs/wire/openwop.md §3.9). */
export const openwopCases2: Cases = {
  [`GET ${P}/openapi.json`]: [{ ...asked("document", () => ({ path: "/openapi.json" })), isPublic: true }],
  [`GET ${P}/workflows/{workflow_id}`]: [
    asked("an assistant", ({ assistantId }) => ({ path: `/workflows/${assistantId}` })),
  ],
  [`POST ${P}/runs`]: [
    created("of an assistant", ({ assistantId: workflowId }) => ({ workflowId })),
    created("in a tenant", ({ tenant: tenantId }) => ({ tenantId })),
    created(
      "with a key that was used",
      () => ({}),
      ({ wopKey }) => ({ "idempotency-key": wopKey }),
    ),
    created(
      "in a scope that is held",
      ({ wopScope: scopeId }) => ({ scopeId }),
      () => ({ "openwop-dedup": "enforce" }),
    ),
  ],
  [`GET ${P}/runs`]: [
    { ...asked("all", () => ({ path: "/runs" })), asksNobody: "there is no list: it is a 404 for all" },
  ],
  ...ofRuns("GET", ""),
  ...ofRuns("GET", "/artifacts/one"),
  ...ofRuns("GET", "/events"),
  ...ofRuns("GET", "/events/poll?timeout=1"),
  ...ofRuns("POST", ":fork", () => ({ body: { mode: "branch", fromSeq: 0 } })),
  ...ofRuns("POST", "/cancel", () => ({ body: { reason: "mine" } })),
  ...ofRuns("POST", ":pause", () => ({ body: { drainPolicy: "immediate" } })),
  ...ofRuns("POST", ":resume", () => ({ body: {} })),
  ...ofRuns("POST", "/interrupts/ask", () => ({ body: { resumeValue: "mine" } })),
  [`POST ${P}/runs:bulk-cancel`]: [
    {
      ...asked("all three, and in one's own tenant", (ids, own) => ({
        path: "/runs:bulk-cancel",
        body: { runIds: Object.values(NAMED).map((nameOf) => nameOf(ids, own).join("/")) },
      })),
      asksNobody: BULK,
    },
  ],
  [`GET ${P}/interrupts/{token}`]: [{ ...asked("a forged link", (ids) => ({ path: link(ids) })), isPublic: true }],
  [`POST ${P}/interrupts/{token}`]: [
    { ...asked("a forged link", (ids) => ({ path: link(ids), body: { resumeValue: "mine" } })), isPublic: true },
  ],
  [`POST ${P}/webhooks`]: [
    alone(asked("one's own", () => ({ path: "/webhooks", body: HOOK_BODY }))),
    alone(
      asked("with a key that was used", ({ wopKey }) => ({
        path: "/webhooks",
        body: HOOK_BODY,
        headers: { "idempotency-key": wopKey },
      })),
    ),
  ],
  [`DELETE ${P}/webhooks/{subscription_id}`]: [
    asked("in one's own tenant", ({ wopWebhook }, { tenant }) => ({ path: `/webhooks/${tenant}~2F${wopWebhook}` })),
    {
      ...asked("in its tenant", ({ wopWebhook, tenant }) => ({ path: `/webhooks/${tenant}~2F${wopWebhook}` })),
      asksNobody: "an id of another tenant than who asks is none, before anything is asked",
    },
  ],
};
