import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STORAGES, collect, startServer, type TestServer } from "../../support/server.js";

interface Frame {
  readonly id?: string;
  readonly event: string;
  readonly data: unknown;
}

const status = ({ event, data }: Frame): string | undefined =>
  event === "metadata" ? (data as { status?: string }).status : undefined;

describe.each(STORAGES)("GET /threads/{id}/stream on %s", (storage) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer(storage);
  }, 60_000);
  afterAll(() => server.close(), 60_000);

  /** Frames of the SDK's reader until some are as wanted. */
  const read = async (
    threadId: string,
    options: { lastEventId?: string; streamMode?: string[] },
    enough: (frames: readonly Frame[]) => boolean,
    meanwhile: () => Promise<unknown> = async () => {},
  ): Promise<Frame[]> => {
    const stop = new AbortController();
    const frames: Frame[] = [];
    const stream = server.client.threads.joinStream(threadId, { ...options, signal: stop.signal } as never);
    const reading = (async () => {
      try {
        for await (const frame of stream as AsyncIterable<Frame>) {
          frames.push(frame);
          if (enough(frames)) return;
        }
      } finally {
        stop.abort();
      }
    })();
    const doing = meanwhile();
    await reading;
    await doing;
    return frames;
  };
  const ends = (count: number) => (frames: readonly Frame[]) =>
    frames.filter((frame) => !["running", undefined].includes(status(frame))).length >= count;
  const watched = async (): Promise<string> => {
    const { thread_id: threadId } = await server.client.threads.create();
    // Whoever follows a thread makes it watched.
    const stop = new AbortController();
    const response = await fetch(`${server.url}/threads/${threadId}/stream`, { signal: stop.signal });
    expect(response.status).toBe(200);
    stop.abort();
    return threadId;
  };

  it("every event of every run, each run followed by how it ended", async () => {
    const threadId = await watched();
    const run = (input: object) =>
      collect(
        server.client.runs.stream(threadId, "counter", {
          input: input as never,
          streamResumable: true,
          streamMode: ["values", "updates"],
        }),
      );
    await run({ n: 0 });
    await run({ n: 10 });
    const frames = await read(threadId, { lastEventId: "-" }, ends(2));
    const ofOne = ["metadata", "values", "updates", "values", "updates", "values", "updates", "values", "success"];
    expect(frames.map((frame) => status(frame) ?? frame.event)).toEqual([...ofOne, ...ofOne]);
    // From every position on the rest comes, and nothing twice.
    for (let at = 0; at < frames.length - 1; at += 1) {
      const rest = await read(
        threadId,
        { lastEventId: frames[at]?.id as string },
        (seen) => seen.length === frames.length - 1 - at,
      );
      expect(rest).toEqual(frames.slice(at + 1));
    }
  });

  it("only starts and ends, or the state after each run", async () => {
    const threadId = await watched();
    await server.client.runs.wait(threadId, "counter", { input: { n: 0 } });
    await server.client.runs.wait(threadId, "failing", { input: { n: 0 }, raiseError: false });
    const lifecycle = await read(threadId, { lastEventId: "-", streamMode: ["lifecycle"] }, ends(2));
    expect(lifecycle.map(status)).toEqual(["running", "success", "running", "error"]);
    const states = await read(
      threadId,
      { lastEventId: "-", streamMode: ["state_update"] },
      (frames) => frames.length === 2,
    );
    expect(states.map(({ event }) => event)).toEqual(["state_update", "state_update"]);
    expect(states[1]?.data).toMatchObject({
      values: { n: expect.any(Number) as number },
      checkpoint: { thread_id: threadId },
    });
    const both = await fetch(`${server.url}/threads/${threadId}/stream?stream_modes=dreams`);
    expect(both.status).toBe(422);
  });

  it("what happens from now on, live", async () => {
    const threadId = await watched();
    await server.client.runs.wait(threadId, "counter", { input: { n: 0 } });
    const frames = await read(threadId, {}, ends(1), () =>
      // The reader's request is on its way first; a run that is under way when it comes is followed from there.
      server.client.runs.wait(threadId, "slow", { input: { ms: 60, steps: 5 } }),
    );
    expect(frames.length).toBeGreaterThan(2);
    expect(status(frames.at(-1) as Frame)).toBe("success");
  });

  it("of a thread that is not there is not found", async () => {
    const response = await fetch(`${server.url}/threads/01a2030a-e84b-7719-a031-7086b1acbf52/stream`);
    expect(response.status).toBe(404);
  });
});
