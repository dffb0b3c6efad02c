import { HOOK, HOOK_SECRET } from "../protocol-things.js";
import type { Ids } from "../things.js";
import { by, type Cases, type Variant } from "./variant.js";

const P = "/snapstate";
const checkpoint = ({ snapWorkflow }: Ids) => `${P}/checkpoints/cp_${snapWorkflow}_001`;
const workflow = (rest: string) => (ids: Ids) => `${P}/workflows/${ids.snapWorkflow}/${rest}`;
const agent = ({ snapAgent }: Ids) => `${P}/agents/${snapAgent}`;
const open = (name: string, path: string): Variant => ({ ...by(name, () => P + path), isPublic: true });
const saved = (name: string, body: (ids: Ids) => object, headers: Readonly<Record<string, string>> = {}): Variant => ({
  name,
  // Names of workflows are everybody's own.
  isAlone: true,
  request: (ids) => ({
    path: `${P}/checkpoints`,
    body: { workflow_id: ids.snapWorkflow, step: 1, state: { text: "mine" }, ...body(ids) },
    headers,
  }),
});

/** docs/wire/snapstate.md §1.1. */
export const snapstateCases: Cases = {
  [`POST ${P}/checkpoints`]: [
    saved("of a step that is there", () => ({})),
    saved("of the next step", () => ({ step: 2 })),
    saved("if it matches", () => ({}), { "if-match": "*" }),
    saved("by an agent", ({ snapAgent }) => ({ agent_id: snapAgent })),
  ],
  [`GET ${P}/checkpoints/{checkpoint_id}`]: [by("one", checkpoint)],
  [`GET ${P}/workflows/{workflow_id}/resume`]: [by("the last one", workflow("resume"))],
  [`GET ${P}/workflows/{workflow_id}/replay`]: [
    by("all", workflow("replay")),
    by("some", workflow("replay?from_step=1&to_step=1&limit=1")),
  ],
  [`POST ${P}/agents`]: [
    {
      ...by(
        "of this name",
        () => `${P}/agents`,
        ({ snapAgent }) => ({ agent_id: snapAgent, name: "mine" }),
      ),
      isAlone: true,
    },
  ],
  [`GET ${P}/agents`]: [{ ...by("all", () => `${P}/agents`), lists: true }],
  [`GET ${P}/agents/{agent_id}`]: [by("one", agent)],
  [`PATCH ${P}/agents/{agent_id}`]: [by("one", agent, () => ({ name: "mine" }))],
  [`DELETE ${P}/agents/{agent_id}`]: [by("one", agent)],
  [`POST ${P}/webhooks`]: [
    by(
      "one's own",
      () => `${P}/webhooks`,
      () => ({ url: HOOK, events: ["workflow.expired"], secret: HOOK_SECRET }),
    ),
  ],
  [`DELETE ${P}/webhooks/{webhook_id}`]: [by("one", ({ snapWebhook }) => `${P}/webhooks/${snapWebhook}`)],
  [`GET ${P}/health`]: [open("health", "/health")],
  [`GET ${P}/ready`]: [open("ready", "/ready")],
};
