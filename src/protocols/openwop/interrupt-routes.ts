import { z } from "zod";
import type { Caller } from "../../core/auth.js";
import type { JsonObject } from "../../core/json.js";
import { toJsonText } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import type { Exchange } from "../../http/exchange.js";
import type { ProtocolRoute } from "../protocol.js";
import { decodeBody } from "./decode.js";
import type { EdgeDeps } from "./edge-routes.js";
import { isTerminalStatus } from "./event.js";
import { idempotent } from "./idempotent.js";
import type { RunRecord } from "./run-record.js";
import type { AnswerOutcome, FoundRun } from "./seams.js";
import { OpenwopRefusal } from "./seams.js";
import type { InterruptFold } from "./snapshot-types.js";
import type { TokenClaims } from "./tokens.js";

/** POST …/interrupts/{nodeId} and /v1/interrupts/{token} (docs/wire/openwop.md §3.2 Interrupts). */
export const answerBody = z
  .strictObject({
    resumeValue: z.json(),
    /** Which of several that one node waits for; absent: the oldest. */
    interruptId: z.string().min(1).max(128).optional(),
  })
  .meta({ id: "OpenwopAnswer" });

const resolved = z
  .object({ runId: z.string(), nodeId: z.string(), status: z.string() })
  .meta({ id: "OpenwopResolvedInterrupt" });
const inspected = z
  .object({
    kind: z.string(),
    key: z.string(),
    data: z.record(z.string(), z.json()),
    resumeSchema: z.record(z.string(), z.json()).optional(),
    timeoutMs: z.number().optional(),
    expiresAt: z.string(),
  })
  .meta({ id: "OpenwopInterrupt" });

/** Interrupts: by their run and node, for callers; by a signed link, for whoever has it. */
export function interruptRoutes(deps: EdgeDeps): readonly ProtocolRoute[] {
  const { access, context } = deps;
  return [
    {
      method: "post",
      path: "/v1/runs/{run_id}/interrupts/{node_id}",
      summary: "Answer an interrupt of a run",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      answers: resolved,
      errors: [404, 409, 410],
      createsRun: true,
      async handle(exchange) {
        const runId = exchange.param("run_id");
        const nodeId = exchange.param("node_id");
        const { caller } = exchange;
        const body = decodeBody(answerBody, await exchange.body());
        await access(caller, runId, "update");
        return idempotent(exchange, context, `runs.${runId}.interrupts.${nodeId}`, { ...body }, async () => ({
          status: 200,
          body: await answerByNode(deps, caller, { runId, nodeId }, body),
        }));
      },
    },
    {
      method: "get",
      path: "/v1/interrupts/{token}",
      summary: "What a signed link to an interrupt asks for",
      answer: { status: 200, description: "The interrupt" },
      answers: inspected,
      errors: [404, 409, 410],
      isPublic: true,
      hidesParams: true,
      async handle(exchange) {
        const shown = await inspectLink(deps, exchange.param("token"));
        return exchange.json(toJsonText(shown), { "cache-control": "no-store" });
      },
    },
    {
      method: "post",
      path: "/v1/interrupts/{token}",
      summary: "Answer the interrupt of a signed link",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      answers: resolved,
      errors: [403, 404, 409, 410],
      isPublic: true,
      hidesParams: true,
      createsRun: true,
      handle: (exchange) => resolveLink(deps, exchange, "interrupts", ({ runId }) => runId),
    },
  ];
}

type AnswerBody = z.infer<typeof answerBody>;

/** Answer an interrupt of a run that the caller may change. @throws OpenwopRefusal */
export async function answerByNode(
  { runs }: Pick<EdgeDeps, "runs">,
  caller: Caller,
  { runId, nodeId }: { readonly runId: string; readonly nodeId: string },
  { resumeValue, interruptId }: AnswerBody,
): Promise<{ readonly runId: string; readonly nodeId: string; readonly status: string }> {
  const at = { nodeId, ...(interruptId !== undefined && { interruptId }) };
  const resolvedBy = caller.identity ?? "anonymous";
  const outcome = await runs.answer({ owner: ownerOf(caller), runId }, at, { resumeValue, resolvedBy });
  return { runId, nodeId, status: acceptedStatus(outcome, nodeId) };
}

/** What a link asks for: the suspend shape, and until when. @throws OpenwopRefusal */
export async function inspectLink(deps: LinkDeps, token: string): Promise<JsonObject> {
  const { found, interrupt, claims } = await linkedInterrupt(deps, token);
  requirePending(found, interrupt);
  return { ...interrupt.suspension, expiresAt: new Date(claims.expiresAt).toISOString() };
}

/** Answer by a link, as whoever created the run. @param named how the run is called in the answer @throws OpenwopRefusal */
export async function resolveLink(
  deps: LinkDeps,
  exchange: Exchange,
  operation: string,
  named: (record: RunRecord) => string,
): Promise<Response> {
  const { claims, found } = await linkedInterrupt(deps, exchange.param("token"));
  const { runId, nodeId, interruptId, intent } = claims;
  if (intent !== "resolve") {
    const message = "This link is only for looking at the interrupt";
    throw new OpenwopRefusal({ status: 403, code: "forbidden", message });
  }
  const body = decodeBody(answerBody, await exchange.body());
  return idempotent(exchange, deps.context, `${operation}.${runId}.${interruptId}`, { ...body }, async () => {
    const answer = { resumeValue: body.resumeValue, resolvedBy: "link" };
    const outcome = await deps.runs.answer(found.record, { nodeId, interruptId }, answer);
    // Links to what has ended are answered with 409 (§3.2).
    if (outcome.kind === "gone") throw gone(409);
    return { status: 200, body: { runId: named(found.record), nodeId, status: acceptedStatus(outcome, nodeId) } };
  });
}

type LinkDeps = Pick<EdgeDeps, "context" | "links" | "runs">;

interface Linked {
  readonly claims: TokenClaims;
  readonly interrupt: InterruptFold;
  readonly found: FoundRun;
}

/**
 * The interrupt that a token is about, whatever has become of it.
 * @throws OpenwopRefusal 404 `interrupt_not_found` for a token that is none, 410 `interrupt_expired` when its time is over and nobody has
 * answered
 */
async function linkedInterrupt({ links, runs, context: { clock } }: LinkDeps, token: string): Promise<Linked> {
  const claims = await links.read(token);
  if (claims === null) throw interruptNotFound("This link is not valid");
  const owner = await runs.ownerOf(claims.runId);
  const found = owner === null ? null : await runs.find(owner, claims.runId);
  const interrupt = found === null ? undefined : interruptOf(found, claims);
  if (found === null || interrupt === undefined) throw interruptNotFound("The interrupt of this link is not there");
  const isPending = interrupt.status === "pending" && !isTerminalStatus(found.fold.status);
  if (isPending && claims.expiresAt <= clock.now()) throw expired();
  return { claims, interrupt, found };
}

function requirePending({ fold }: FoundRun, { status }: InterruptFold): void {
  if (status === "resolved") throw answered();
  if (status === "gone" || isTerminalStatus(fold.status)) throw gone(409);
}

function interruptOf({ fold }: FoundRun, { interruptId, nodeId }: TokenClaims): InterruptFold | undefined {
  return fold.interrupts.find((one) => one.interruptId === interruptId && one.nodeId === nodeId);
}

/** @throws OpenwopRefusal for what was not accepted */
function acceptedStatus(outcome: AnswerOutcome, nodeId: string): string {
  switch (outcome.kind) {
    case "accepted":
      return outcome.status;
    case "not-found":
      throw interruptNotFound(`The run waits for no interrupt of node "${nodeId}"`);
    case "already-resolved":
      throw answered();
    case "gone":
      throw gone(410);
    case "expired":
      throw expired();
    case "invalid": {
      const { status, message, details } = outcome;
      throw new OpenwopRefusal({
        status,
        code: "validation_error",
        message,
        ...(details === undefined ? {} : { details }),
      });
    }
    default:
      return outcome satisfies never;
  }
}

function interruptNotFound(message: string): OpenwopRefusal {
  return new OpenwopRefusal({ status: 404, code: "interrupt_not_found", message });
}

function answered(): OpenwopRefusal {
  const message = "This interrupt has been answered";
  return new OpenwopRefusal({ status: 409, code: "interrupt_already_resolved", message });
}

function gone(status: 409 | 410): OpenwopRefusal {
  const message = "The run has ended, or gone on without an answer to this interrupt";
  return new OpenwopRefusal({ status, code: "interrupt_gone", message });
}

function expired(): OpenwopRefusal {
  return new OpenwopRefusal({ status: 410, code: "interrupt_expired", message: "The time for an answer is over" });
}
