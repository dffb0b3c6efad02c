import type { Caller } from "../../core/auth.js";
import type { Exchange } from "../../http/exchange.js";
import type { RunAccess } from "./run-access.js";
import type { RunRecord } from "./run-record.js";

/** What differs between the majors in the routes that both have. */
export interface Major {
  readonly number: 1 | 2;
  /** What their paths begin with. */
  readonly root: "/v1" | "";
  /** What the names of their operations begin with: an `Idempotency-Key` of one major says nothing in the other. */
  readonly operations: "" | "v2 ";
  /** The run that the path names, as {@link RunAccess} has it. @throws OpenwopRefusal `not_found` */
  run(exchange: Exchange, action?: Parameters<RunAccess>[2]): Promise<RunRecord>;
  /** How it calls a run. */
  nameOf(record: RunRecord): string;
  /** The own id of a run that is named beside the path. `null`: that is no name of a run of the caller's. */
  ownId(caller: Caller, named: string): Promise<string | null>;
}

export function firstMajor(access: RunAccess): Major {
  return {
    number: 1,
    root: "/v1",
    operations: "",
    run: (exchange, action) => access(exchange.caller, exchange.param("run_id"), action),
    nameOf: ({ runId }) => runId,
    ownId: async (_, named) => named,
  };
}
