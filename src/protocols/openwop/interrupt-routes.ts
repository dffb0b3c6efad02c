import { z } from "zod";
import { toJsonText } from "../../core/json.js";
import type { ProtocolRoute } from "../protocol.js";
import { decodeBody } from "./decode.js";
import type { EdgeDeps } from "./edge-routes.js";
import { isTerminalStatus } from "./event.js";
import { idempotent } from "./idempotent.js";
import type { Major } from "./major.js";
import type { AnswerOutcome, FoundRun } from "./seams.js";
import { OpenwopRefusal } from "./seams.js";
import type { InterruptFold } from "./snapshot-types.js";
import type { TokenClaims } from "./tokens.js";

/** POST …/interrupts/{nodeId} and /v1/interrupts/{token} (docs/wire/openwop.md §3.2 Interrupts). */
const answerBody = z
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

/** Interrupts, in either major: by their run and node, for callers; by a signed link, for whoever has it. */
export function interruptRoutes(deps: EdgeDeps, major: Major): readonly ProtocolRoute[] {
  const { context, runs } = deps;
  const { root, operations } = major;
  return [
    {
      method: "post",
      path: `${root}/runs/{run_id}/interrupts/{node_id}`,
      summary: "Answer an interrupt of a run",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      answers: resolved,
      errors: [404, 409, 410],
      createsRun: true,
      async handle(exchange) {
        const nodeId = exchange.param("node_id");
        const body = decodeBody(answerBody, await exchange.body());
        const record = await major.run(exchange, "update");
        const operation = `${operations}runs.${record.runId}.interrupts.${nodeId}`;
        return idempotent(exchange, context, operation, { ...body }, async () => {
          const { resumeValue, interruptId } = body;
          const at = { nodeId, ...(interruptId !== undefined && { interruptId }) };
          const resolvedBy = exchange.caller.identity ?? "anonymous";
          const outcome = await runs.answer(record, at, { resumeValue, resolvedBy });
          return {
            status: 200,
            body: { runId: major.nameOf(record), nodeId, status: acceptedStatus(outcome, nodeId) },
          };
        });
      },
    },
    {
      method: "get",
      path: `${root}/interrupts/{token}`,
      summary: "What a signed link to an interrupt asks for",
      answer: { status: 200, description: "The interrupt" },
      answers: inspected,
      errors: [404, 409, 410],
      isPublic: true,
      hidesParams: true,
      async handle(exchange) {
        const { found, interrupt, claims } = await linkedInterrupt(deps, exchange.param("token"));
        requirePending(found, interrupt);
        const shown = { ...interrupt.suspension, expiresAt: new Date(claims.expiresAt).toISOString() };
        return exchange.json(toJsonText(shown), { "cache-control": "no-store" });
      },
    },
    {
      method: "post",
      path: `${root}/interrupts/{token}`,
      summary: "Answer the interrupt of a signed link",
      body: answerBody,
      answer: { status: 200, description: "Taken" },
      answers: resolved,
      errors: [403, 404, 409, 410],
      isPublic: true,
      hidesParams: true,
      createsRun: true,
      async handle(exchange) {
        const { claims, found } = await linkedInterrupt(deps, exchange.param("token"));
        const { runId, nodeId, interruptId, intent } = claims;
        if (intent !== "resolve") {
          const message = "This link is only for looking at the interrupt";
          throw new OpenwopRefusal({ status: 403, code: "forbidden", message });
        }
        const { record } = found;
        const body = decodeBody(answerBody, await exchange.body());
        return idempotent(
          exchange,
          context,
          `${operations}interrupts.${runId}.${interruptId}`,
          { ...body },
          async () => {
            const answer = { resumeValue: body.resumeValue, resolvedBy: "link" };
            const outcome = await runs.answer(record, { nodeId, interruptId }, answer);
            // Links to what has ended are answered with 409 (§3.2).
            if (outcome.kind === "gone") throw gone(409);
            return {
              status: 200,
              body: { runId: major.nameOf(record), nodeId, status: acceptedStatus(outcome, nodeId) },
            };
          },
        );
      },
    },
  ];
}

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
async function linkedInterrupt(
  { links, runs, context: { clock } }: Pick<EdgeDeps, "context" | "links" | "runs">,
  token: string,
): Promise<Linked> {
  const claims = await links.read(token);
  if (claims === null) throw interruptNotFound("This link is not valid");
  const owner = await runs.ownerOf(claims.runId);
  const found = owner === null ? null : await runs.find(owner, claims.runId);
  const interrupt = found === null ? undefined : interruptOf(found, claims);
  if (found === null || interrupt === undefined) throw interruptNotFound("The interrupt of this link is not there");
  if (interrupt.status !== "resolved" && claims.expiresAt <= clock.now()) throw expired();
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
