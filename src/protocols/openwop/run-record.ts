import type { Caller } from "../../core/auth.js";
import type { JsonObject } from "../../core/json.js";

export const RUNS_SPACE = "openwop-runs";
/**
 * Which owner's run a thread is: owner "", collection "", key = runId. Label `active` while the run has not ended, for who looks
 * after runs that a crash has left.
 */
export const INDEX_SPACE = "openwop-index";
/** Who holds a scope under `X-Dedup: enforce`: collection "", key = scope. */
export const SCOPES_SPACE = "openwop-scopes";

export type DrainPolicy = "immediate" | "drain-current-node";

/** A run as it was asked for: record of space {@link RUNS_SPACE}, owner = the creator's, collection "", key = runId. */
export interface RunRecord {
  /** The thread's id, too: LangGraph clients find the run under it. */
  readonly runId: string;
  /** Whose it is (core/owner.ts). */
  readonly owner: string;
  /** As it was named: a graph's or an assistant's id. */
  readonly workflowId: string;
  readonly assistantId: string;
  readonly graphId: string;
  /** Who created it; what happens without a bearer (tokens, recovery) happens as this one. */
  readonly caller: Pick<Caller, "identity" | "permissions" | "user">;
  /** `inputs` of the body. */
  readonly inputs: JsonObject;
  /** Defaults of the workflow's variables, with `inputs` over them: the graph's input. */
  readonly variables: JsonObject;
  readonly configurable: JsonObject;
  readonly tags: readonly string[];
  readonly metadata: JsonObject;
  readonly tenantId: string | null;
  readonly scopeId: string | null;
  readonly callbackUrl: string | null;
  readonly parentRunId: string | null;
  /** The run that this one is a fork of. */
  readonly source: ForkSource | null;
  /** Type ids by node id, as the workflow had them. */
  readonly nodeTypes: Readonly<Record<string, string>>;
  /** Nodes that may start, over the whole run; `null`: LangGraph's own limit alone. */
  readonly recursionLimit: number | null;
  /** One execution (from its start or from an answer to the next stop) may take this long. */
  readonly runTimeoutMs: number | null;
  /** Under `X-Dedup: enforce`, which scope it holds until it ends. */
  readonly heldScope: string | null;
  /** A pause that was asked for and not taken back: the run stops after the superstep, and stays so. */
  readonly pause: PauseRequest | null;
}

export interface PauseRequest {
  readonly policy: DrainPolicy;
  readonly reason: string | null;
}

export interface ForkSource {
  readonly runId: string;
  readonly fromSeq: number;
  readonly mode: "replay" | "branch";
  /** Where its thread, a copy, goes on; `null`: it begins anew. */
  readonly checkpointId: string | null;
}
