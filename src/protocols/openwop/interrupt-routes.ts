import { z } from "zod";
import type { JsonObject } from "../../core/json.js";
import { ownerOf } from "../../core/owner.js";
import { toJsonText } from "../../core/json.js";
import type { ProtocolRoute } from "../protocol.js";
import { decodeBody } from "./decode.js";
import type { EdgeDeps } from "./edge-routes.js";
import { runNotFound } from "./errors.js";
import { idempotent } from "./idempotent.js";
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
  const { context, runs } = deps;
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
        const { resumeValue, interruptId } = body;
        await context.authorize(caller, "threads", "update", { thread_id: runId });
        return idempotent(exchange, context, `runs.${runId}.interrupts.${nodeId}`, { ...body }, async () => {
          const owner = ownerOf(caller);
          if ((await runs.find(owner, runId)) === null) throw runNotFound(runId);
          const at = { nodeId, ...(interruptId !== undefined && { interruptId }) };
          const resolvedBy = caller.identity ?? "anonymous";
          const outcome = await runs.answer({ owner, runId }, at, { resumeValue, resolvedBy });
          return { status: 200, body: { runId, nodeId, status: acceptedStatus(outcome, nodeId) } };
        });
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
        const { interrupt, claims } = await linkedInterrupt(deps, exchange.param("token"));
        const expiresAt = new Date(claims.expiresAt).toISOString();
        return exchange.json(toJsonText({ ...shape(interrupt), expiresAt }), { "cache-control": "no-store" });
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
      async handle(exchange) {
        const { claims, owner } = await linkedInterrupt(deps, exchange.param("token"), { mayBeAnswered: true });
        const body = decodeBody(answerBody, await exchange.body());
        const { runId, nodeId, interruptId, intent } = claims;
        if (intent !== "resolve") {
          const message = "This link is only for looking at the interrupt";
          throw new OpenwopRefusal({ status: 403, code: "forbidden", message });
        }
        return idempotent(exchange, context, `interrupts.${runId}.${interruptId}`, { ...body }, async () => {
          const answer = { resumeValue: body.resumeValue, resolvedBy: "link" };
          const outcome = await runs.answer({ owner, runId }, { nodeId, interruptId }, answer);
          return { status: 200, body: { runId, nodeId, status: linkedStatus(outcome, nodeId) } };
        });
      },
    },
  ];
}

function shape({ suspension }: InterruptFold): JsonObject {
  return { ...suspension };
}

/**
 * The interrupt that a token is about.
 * @param options.mayBeAnswered one that has been answered is no failure yet: the same answer may come again, under its Idempotency-Key
 * @throws OpenwopRefusal 404 `interrupt_not_found` for a token that is none, 410 when its time is over, 409 when it is answered or gone
 */
async function linkedInterrupt(
  { links, runs, context: { clock } }: Pick<EdgeDeps, "context" | "links" | "runs">,
  token: string,
  options: { readonly mayBeAnswered?: boolean } = {},
): Promise<{ readonly claims: TokenClaims; readonly interrupt: InterruptFold; readonly owner: string }> {
  const claims = await links.read(token);
  if (claims === null) throw interruptNotFound("This link is not valid");
  const owner = await runs.ownerOf(claims.runId);
  const found = owner === null ? null : await runs.find(owner, claims.runId);
  const interrupt = found === null ? undefined : interruptOf(found, claims);
  if (owner === null || interrupt === undefined) throw interruptNotFound("The interrupt of this link is not there");
  if (options.mayBeAnswered !== true && interrupt.status !== "pending") throw settled(interrupt.status);
  if (claims.expiresAt <= clock.now() && interrupt.status === "pending") throw expired();
  return { claims, interrupt, owner };
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
      throw settled("resolved");
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

/** As {@link acceptedStatus}; links to what has ended are answered with 409 (§3.2). */
function linkedStatus(outcome: AnswerOutcome, nodeId: string): string {
  if (outcome.kind === "gone") throw gone(409);
  return acceptedStatus(outcome, nodeId);
}

function interruptNotFound(message: string): OpenwopRefusal {
  return new OpenwopRefusal({ status: 404, code: "interrupt_not_found", message });
}

function settled(status: InterruptFold["status"]): OpenwopRefusal {
  if (status === "gone") return gone(409);
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
