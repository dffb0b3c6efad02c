import { parentPort, workerData } from "node:worker_threads";
import type { OpenLeaseRenewer } from "../core/lease-renewal.js";
import { type LeaseServing, serveLeases } from "./serve-leases.js";

/** What the thread of ./lease-thread.ts, which begins here, is started with. */
export interface LeaseThreadData extends LeaseServing {
  /** Of the module that opens the renewer. */
  readonly moduleUrl: string;
}

const params = workerData as LeaseThreadData;
const { openLeaseRenewer } = (await import(params.moduleUrl)) as { readonly openLeaseRenewer: OpenLeaseRenewer };
if (parentPort !== null) await serveLeases(parentPort, params, openLeaseRenewer);
