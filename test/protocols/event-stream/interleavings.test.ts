/**
 * Any interleaving of runs, dropped connections, reconnects on both transports, and kills of the serving process: a client that
 * follows the rules (drop by `event_id`, come back with `since` or from the start) ends with the messages and the state that
 * `GET /threads/{id}/state` has, with no token twice and no hole (issue 4). The seed is printed; `FC_SEED` repeats it.
 */
import fc from "fast-check";
import { v7 } from "uuid";
import { describe, expect, it } from "vitest";
import { createDatabase } from "../../support/postgres.js";
import { until } from "../../support/server.js";
import { startProcess, type ServedProcess } from "../../support/served-process.js";
import {
  ALL,
  type OpenStream,
  type WireEvent,
  command,
  isTerminal,
  openSocket,
  openSse,
  succeed,
} from "./thread-client.js";

const RUNS = Number(process.env["FC_RUNS"] ?? 6);
const SEED = Number(process.env["FC_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

type Step =
  | { readonly kind: "run"; readonly process: number; readonly graph: "tokens" | "slow" }
  | { readonly kind: "drop"; readonly client: number }
  | {
      readonly kind: "connect";
      readonly client: number;
      readonly process: number;
      readonly how: "sse" | "since" | "socket" | "reconnect";
    }
  | { readonly kind: "kill"; readonly process: number; readonly signal: "SIGKILL" | "SIGTERM" }
  | { readonly kind: "wait"; readonly ms: number };

const process01 = fc.integer({ min: 0, max: 1 });
const client = fc.integer({ min: 0, max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("run" as const),
      process: process01,
      graph: fc.constantFrom("tokens" as const, "slow" as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("drop" as const), client }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("connect" as const),
      client,
      process: process01,
      how: fc.constantFrom("sse" as const, "since" as const, "socket" as const, "reconnect" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("kill" as const),
      process: process01,
      signal: fc.constantFrom("SIGKILL" as const, "SIGTERM" as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20 }) }) },
);

/** What a client knows, whatever connection brought it. */
class Knowledge {
  readonly byId = new Map<string, WireEvent>();
  connection: OpenStream | null = null;
  subscription: string | null = null;
  runId: string | null = null;

  /** Take over what the connection has brought; the same id is the same event. */
  absorb(): void {
    for (const event of this.connection?.events.all ?? []) {
      const id = event.event_id as string;
      const known = this.byId.get(id);
      if (known === undefined) this.byId.set(id, event);
      else if (JSON.stringify(event) !== JSON.stringify(known)) throw new Error(`event ${id} changed`);
    }
  }

  drop(): void {
    this.absorb();
    this.connection?.close();
    this.connection = null;
  }

  /** Those of the log; a snapshot of the state has no number. */
  get events(): readonly WireEvent[] {
    const numbered = [...this.byId.values()].filter(({ seq }) => seq !== undefined);
    return numbered.toSorted((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  }

  get lastSeq(): number {
    return this.events.at(-1)?.seq ?? 0;
  }

  async connect(url: string, threadId: string, how: "sse" | "since" | "socket" | "reconnect"): Promise<void> {
    this.drop();
    if (how === "sse" || how === "since") {
      this.connection = await openSse(url, threadId, how === "since" ? { ...ALL, since: this.lastSeq } : ALL);
      return;
    }
    const socket = await openSocket(url, threadId);
    this.connection = socket;
    if (how === "reconnect" && this.subscription !== null && this.runId !== null) {
      await socket.succeed("subscription.reconnect", {
        run_id: this.runId,
        last_event_id: String(this.lastSeq),
        subscriptions: [this.subscription],
      });
      return;
    }
    const subscribed = await socket.succeed<{ subscription_id: string }>("subscription.subscribe", ALL);
    this.subscription = subscribed.subscription_id;
  }
}

/** Text of every message by id, from its token frames alone: each piece once, in order. */
function textsOf(events: readonly WireEvent[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  let current = "";
  for (const event of events) {
    if (event.method !== "messages") continue;
    const { data } = event.params;
    if (data.event === "message-start") {
      current = data.id;
      // An attempt that was taken over begins its message anew.
      texts.set(current, "");
    } else if (data.event === "content-block-delta" && data.delta.type === "text-delta") {
      texts.set(current, `${texts.get(current) ?? ""}${(data.delta as { text: string }).text}`);
    }
  }
  return texts;
}

describe("interleavings of runs, drops, reconnects and kills", () => {
  it("leave a client with what the thread's state has", { timeout: 600_000 }, async () => {
    console.info(`interleavings: seed ${SEED}, ${RUNS} runs`);
    const database = await createDatabase();
    const options = { storage: database.uri, worker: { leaseMs: 2_000 } };
    const start = () => startProcess({ graphs: "fixtures", options });
    const servers: ServedProcess[] = await Promise.all([start(), start()]);
    const at = (index: number): ServedProcess => servers[index] as ServedProcess;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 16 }), async (steps) => {
          const threadId = v7();
          const clients = [new Knowledge(), new Knowledge()];
          let runs = 0;
          let killed = false;
          for (const one of steps) {
            switch (one.kind) {
              case "run": {
                const input =
                  one.graph === "tokens"
                    ? { messages: [{ role: "user", content: "hi" }] }
                    : { ms: 5, steps: 3, done: 0 };
                const { run_id: runId } = await succeed<{ run_id: string }>(
                  at(one.process).url,
                  threadId,
                  "run.start",
                  {
                    assistant_id: one.graph,
                    input,
                  },
                );
                for (const knowledge of clients) knowledge.runId = runId;
                runs += 1;
                break;
              }
              case "drop":
                clients[one.client]?.drop();
                break;
              case "connect":
                await clients[one.client]?.connect(at(one.process).url, threadId, one.how);
                break;
              case "kill":
                killed ||= one.signal === "SIGKILL";
                await at(one.process).kill(one.signal);
                servers[one.process] = await start();
                break;
              case "wait":
                await new Promise((resolve) => setTimeout(resolve, one.ms));
                break;
              default:
                throw new Error(`no step ${String(one satisfies never)}`);
            }
          }
          if (runs === 0) return;
          for (const knowledge of clients) {
            // Connections that a kill has cut are opened again; the others go on.
            if (knowledge.connection === null || knowledge.connection.events.ended) {
              await knowledge.connect(at(0).url, threadId, "since");
            }
            // A worker that is killed between a run's end and the event that tells of it leaves that event out when another
            // run of the thread follows at once: then the log's end is what a client waits for.
            await until(async () => {
              // That the last kill has cut it is heard a little later.
              if (knowledge.connection?.events.ended === true) await knowledge.connect(at(0).url, threadId, "since");
              knowledge.absorb();
              if (!killed) return knowledge.events.filter(isTerminal).length >= runs;
              const statuses = (await at(0).client.runs.list(threadId, { limit: 100 })).map(({ status }) => status);
              if (statuses.some((status) => status === "pending" || status === "running")) return false;
              const answer = await command(at(0).url, threadId, "state.get", { namespace: [] });
              const newest = answer.type === "success" ? answer.meta?.applied_through_seq : undefined;
              const last = knowledge.events.findLast(
                ({ method, params }) => method === "lifecycle" && params.namespace.length === 0,
              );
              return newest === knowledge.lastSeq && last !== undefined && isTerminal(last);
            }, `the end of ${runs} runs`);
            knowledge.absorb();
          }
          const listed = await at(0).client.runs.list(threadId, { limit: 100 });
          expect(listed.map(({ status }) => status)).toEqual(listed.map(() => "success"));
          const { values } = await at(1).client.threads.getState<{
            messages: { id: string; content: string; type: string }[];
          }>(threadId);
          for (const { events } of clients) {
            expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
            expect(events.filter(isTerminal).length).toBeLessThanOrEqual(runs);
            expect(killed || events.filter(isTerminal).length === runs).toBe(true);
            const last = events.findLast(({ method, params }) => method === "values" && params.namespace.length === 0);
            const shown = (last?.params.data as typeof values | undefined)?.messages ?? [];
            expect(shown.map(({ id, content, type }) => ({ id, content, type }))).toEqual(
              values.messages.map(({ id, content, type }) => ({ id, content, type })),
            );
            const texts = textsOf(events);
            const answers = values.messages.filter(({ type }) => type === "ai");
            // Frames that a killed worker had not stored are gone though its checkpoint is there: the state has the whole.
            const streamed = answers.map(({ id, content }) =>
              killed ? content.startsWith(texts.get(id) ?? "") : texts.get(id) === content,
            );
            expect(streamed).toEqual(answers.map(() => true));
          }
          for (const knowledge of clients) knowledge.drop();
        }),
        { numRuns: RUNS, seed: SEED, endOnFailure: true },
      );
    } finally {
      for (const server of servers) await server.kill("SIGKILL");
      await database.drop();
    }
  });
});
