import { HOOK, HOOK_SECRET, KEYED_RUN } from "../protocol-things.js";
import type { Ids } from "../things.js";
import { by, type Cases, type Variant } from "./variant.js";

const P = "/openwop";
type OfRuns = readonly [Variant, ...Variant[]];

/** Each run of the owner's: one that has ended, one that waits, one that is executed. */
const ofRuns = (rest: string, body?: (ids: Ids) => unknown): OfRuns => [
  by("ended", ({ wopEnded }) => `${P}/v1/runs/${wopEnded}${rest}`, body),
  by("waiting", ({ wopWaiting }) => `${P}/v1/runs/${wopWaiting}${rest}`, body),
  by("running", ({ wopRunning }) => `${P}/v1/runs/${wopRunning}${rest}`, body),
];
const withHeaders = (
  { request, ...variant }: Variant,
  headersOf: (ids: Ids) => Readonly<Record<string, string>>,
): Variant => ({ ...variant, request: (ids, own) => ({ ...request(ids, own), headers: headersOf(ids) }) });
const created = (name: string, body: (ids: Ids) => object): Variant => ({
  ...by(
    name,
    () => `${P}/v1/runs`,
    (ids) => ({ ...KEYED_RUN, ...body(ids) }),
  ),
  isAlone: true,
});
const subscribed = (name: string, more: (ids: Ids) => object): Variant => ({
  ...by(
    name,
    () => `${P}/v1/webhooks`,
    (ids) => ({ url: HOOK, events: ["nothing.happened"], secret: HOOK_SECRET, ...more(ids) }),
  ),
  isAlone: true,
});

/** What a link says, signed by somebody else: a real one is for whoever has it (docs/wire/openwop.md §3.2 Interrupts). */
export function forgedToken({ wopWaiting: runId, wopInterruptId: interruptId }: Ids): string {
  const claims = { runId, nodeId: "ask", interruptId, expiresAt: 4_102_444_800_000, intent: "resolve" };
  return `${Buffer.from(JSON.stringify(claims)).toString("base64url")}.${"A".repeat(43)}`;
}

export const BULK = "each of its runs is asked about, and told of by itself: who may do nothing is refused every one";

/** The first major (docs/wire/openwop.md §3.2). */
export const openwopCases: Cases = {
  [`GET ${P}/.well-known/openwop`]: [{ ...by("capabilities", () => `${P}/.well-known/openwop`), isPublic: true }],
  [`GET ${P}/v1/openapi.json`]: [{ ...by("document", () => `${P}/v1/openapi.json`), isPublic: true }],
  [`GET ${P}/v1/workflows/{workflow_id}`]: [
    by("an assistant", ({ assistantId }) => `${P}/v1/workflows/${assistantId}`),
  ],
  [`GET ${P}/v1/runs/{run_id}/artifacts/{artifact_id}`]: ofRuns("/artifacts/one"),
  [`POST ${P}/v1/runs/{run_id}/interrupts/{node_id}`]: [
    ...ofRuns("/interrupts/ask", () => ({ resumeValue: "mine" })),
    by(
      "by its id",
      ({ wopWaiting }) => `${P}/v1/runs/${wopWaiting}/interrupts/ask`,
      ({ wopInterruptId: interruptId }) => ({ resumeValue: "mine", interruptId }),
    ),
  ],
  [`GET ${P}/v1/interrupts/{token}`]: [
    { ...by("a forged link", (ids) => `${P}/v1/interrupts/${forgedToken(ids)}`), isPublic: true },
  ],
  [`POST ${P}/v1/interrupts/{token}`]: [
    {
      ...by(
        "a forged link",
        (ids) => `${P}/v1/interrupts/${forgedToken(ids)}`,
        () => ({ resumeValue: "mine" }),
      ),
      isPublic: true,
    },
  ],
  [`POST ${P}/v1/webhooks`]: [
    subscribed("one's own", () => ({})),
    subscribed("of a tenant", ({ tenant: tenantId }) => ({ tenantId })),
    withHeaders(
      subscribed("with a key that was used", () => ({})),
      ({ wopKey }) => ({ "idempotency-key": wopKey }),
    ),
  ],
  [`DELETE ${P}/v1/webhooks/{subscription_id}`]: [
    by("one", ({ wopWebhook }) => `${P}/v1/webhooks/${wopWebhook}`),
    by("of a tenant", ({ wopWebhook, tenant }) => `${P}/v1/webhooks/${wopWebhook}?tenantId=${tenant}`),
  ],
  [`POST ${P}/v1/runs`]: [
    created("of an assistant", ({ assistantId: workflowId }) => ({ workflowId })),
    created("in a tenant", ({ tenant: tenantId }) => ({ tenantId })),
    withHeaders(
      created("as a child", () => ({})),
      ({ wopRunning }) => ({ "x-openwop-parent-run-id": wopRunning }),
    ),
    withHeaders(
      created("with a key that was used", () => ({})),
      ({ wopKey }) => ({ "idempotency-key": wopKey }),
    ),
    withHeaders(
      created("in a scope that is held", ({ wopScope: scopeId }) => ({ scopeId })),
      () => ({ "x-dedup": "enforce" }),
    ),
  ],
  [`GET ${P}/v1/runs/{run_id}`]: ofRuns(""),
  [`POST ${P}/v1/runs/{run_id}:fork`]: [
    ...ofRuns(":fork", () => ({ mode: "branch", fromSeq: 0 })),
    by(
      "a replay",
      ({ wopEnded }) => `${P}/v1/runs/${wopEnded}:fork`,
      () => ({ mode: "replay" }),
    ),
  ],
  [`GET ${P}/v1/runs/{run_id}/events`]: [
    ...ofRuns("/events"),
    withHeaders(
      by("as a list", ({ wopEnded }) => `${P}/v1/runs/${wopEnded}/events`),
      () => ({ accept: "application/json" }),
    ),
  ],
  [`GET ${P}/v1/runs/{run_id}/events/poll`]: ofRuns("/events/poll?timeout=1"),
  [`POST ${P}/v1/runs/{run_id}/cancel`]: ofRuns("/cancel", () => ({ reason: "mine" })),
  [`POST ${P}/v1/runs:bulk-cancel`]: [
    {
      ...by(
        "all three",
        () => `${P}/v1/runs:bulk-cancel`,
        ({ wopEnded, wopWaiting, wopRunning }) => ({ runIds: [wopEnded, wopWaiting, wopRunning] }),
      ),
      asksNobody: BULK,
    },
  ],
  [`POST ${P}/v1/runs/{run_id}:pause`]: ofRuns(":pause", () => ({ drainPolicy: "immediate" })),
  [`POST ${P}/v1/runs/{run_id}:resume`]: ofRuns(":resume", () => ({})),
};
