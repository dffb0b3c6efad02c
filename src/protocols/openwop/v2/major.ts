import { ownerOf } from "../../../core/owner.js";
import type { Major } from "../major.js";
import type { RunAccess } from "../run-access.js";
import type { RunRecords } from "../run-records.js";
import { pathId, runOf } from "./paths.js";
import { boundRunId } from "./views.js";
import { partsOf } from "./wire-id.js";

/** Runs by bound ids (docs/wire/openwop.md §3.9). */
export function secondMajor(access: RunAccess, runRecords: Pick<RunRecords, "find">): Major {
  return {
    number: 2,
    root: "",
    operations: "v2 ",
    run: (exchange, action) => runOf(access, exchange.caller, pathId(exchange, "run_id"), action),
    nameOf: boundRunId,
    async ownId(caller, named) {
      const parts = partsOf(named);
      const record = parts === null ? null : await runRecords.find(ownerOf(caller), parts.own);
      // An id that is not bound, or to another tenant, is of no run.
      return record !== null && boundRunId(record) === named ? record.runId : null;
    },
  };
}
