import { parentPort, workerData } from "node:worker_threads";
import type { OpenLeaseRenewer } from "../core/lease-renewal.js";
import { type LeaseThreadData, serveLeases } from "./serve-leases.js";

// Where the thread of ./lease-thread.ts begins.
const params = workerData as LeaseThreadData;
const { openLeaseRenewer } = (await import(params.moduleUrl)) as { readonly openLeaseRenewer: OpenLeaseRenewer };
if (parentPort !== null) await serveLeases(parentPort, params, openLeaseRenewer);
