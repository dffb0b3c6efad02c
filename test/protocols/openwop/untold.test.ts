import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RecordStore } from "../../../src/core/record.js";
import { UNTOLD_SPACE } from "../../../src/protocols/openwop/announcements.js";
import { openwop } from "../../../src/protocols/openwop/index.js";
import { openWrappedApp, SINGLE_STORAGES } from "../../fault/wrapped-app.js";
import { type Fault, withFaults } from "../../support/faults.js";
import { until } from "../../support/server.js";
import { conformanceGraphs } from "./conformance-graphs.js";
import { type Json } from "./served.js";

const received: { readonly type: string; readonly runId: string }[] = [];
const receiver = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const { runId } = JSON.parse(Buffer.concat(parts).toString("utf8")) as { runId: string };
    received.push({ type: String(request.headers["x-openwop-event-type"] ?? "callback"), runId });
    response.writeHead(204).end();
  });
});
beforeAll(() => new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve)));
afterAll(() => new Promise<void>((resolve) => receiver.close(() => resolve())));

/** Its process "dies" by a storage that takes events and no messages, or takes them and says that it has not. */
async function hearsEachOnce(storage: (typeof SINGLE_STORAGES)[number]): Promise<void> {
  let fault: Fault = "none";
  let records: RecordStore | undefined;
  const app = await openWrappedApp(storage, {
    store: (real) => {
      records = real.metadata.records;
      return {
        ...real,
        metadata: withFaults(real.metadata, (name) => (name === "deliveries.enqueue" ? fault : "none")),
      };
    },
    options: {
      graphs: { ...conformanceGraphs },
      protocols: [openwop()],
      webhooks: { url: { requireHttps: false, disableLoopback: false } },
    },
  });
  await app.start();
  const call = async (method: string, path: string, body?: object): Promise<Json> => {
    const init =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const answer = await app.fetch(new Request(`http://heddle/openwop/v1${path}`, { method, ...init }));
    return answer.json();
  };
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  await call("POST", "/webhooks", { url, events: ["run.started", "node.completed", "run.completed"] });
  const ended = async (): Promise<string> => {
    const { runId } = await call("POST", "/runs", { workflowId: "conformance-noop", callbackUrl: url });
    await until(async () => (await call("GET", `/runs/${runId}`)).status === "completed", "the end of the run");
    return runId;
  };
  fault = "refused";
  const untold = await ended();
  fault = "answer-lost";
  const told = await ended();
  fault = "none";
  const heard = (id: string): readonly string[] =>
    received
      .filter(({ runId }) => runId === id)
      .map(({ type }) => type)
      .toSorted();
  const all = ["callback", "node.completed", "run.completed", "run.started"];
  await until(async () => heard(untold).length >= all.length && heard(told).length >= all.length, "the webhooks");
  const last = await ended();
  await until(async () => heard(last).length === all.length, "webhooks after that");
  for (const runId of [untold, told, last]) expect(heard(runId)).toEqual(all);
  const notes = { space: UNTOLD_SPACE, owner: "", collection: "" };
  await until(async () => (await records?.count(notes)) === 0, "the notes' removal");
}

// All at once: the sweep looks every 5 s.
it(`50: what a process has not told that died right after an event is told by the sweep, each event once, on ${SINGLE_STORAGES.join(", ")}`, async () => {
  await Promise.all(SINGLE_STORAGES.map(hearsEachOnce));
});
