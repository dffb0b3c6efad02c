import { expect, it } from "vitest";
import { createApp } from "../../src/app.js";
import { createMemoryCheckpointer } from "../../src/checkpointers/memory.js";
import { systemClock } from "../../src/runtime/system-clock.js";
import { createMemoryItems, createMemoryMetadataStore } from "../../src/stores/memory/index.js";
import { MemoryEventLog } from "../../src/streaming/memory-event-log.js";
import { echo } from "../fixtures/graphs/index.js";

const opened: string[] = [];
const named = <T>(open: () => T) => ({
  schemes: ["mine"],
  requires: [],
  open: async (uri: string): Promise<T> => {
    opened.push(uri);
    return open();
  },
});

it("opens storages of one's own by their URI scheme", async () => {
  const server = await createApp({
    graphs: { echo },
    storage: "mine://somewhere",
    logLevel: "silent",
    env: {},
    drivers: {
      stores: [
        named(() => ({ metadata: createMemoryMetadataStore(systemClock), items: createMemoryItems(systemClock) })),
      ],
      checkpointers: [named(() => createMemoryCheckpointer())],
      eventLogs: [named(() => new MemoryEventLog({ clock: systemClock }))],
    },
  });
  try {
    const input = { messages: [{ role: "user", content: "hi" }] };
    const body = JSON.stringify({ assistant_id: "echo", input });
    const response = await server.fetch(new Request("http://localhost/runs/wait", { method: "POST", body }));
    expect(await response.text()).toContain("echo: hi");
    expect(opened).toEqual(["mine://somewhere", "mine://somewhere", "mine://somewhere"]);
  } finally {
    await server.close();
  }
});

it("names the schemes that it knows when it does not know one", async () => {
  const opening = createApp({ graphs: { echo }, storage: "nobody://x", logLevel: "silent", env: {} });
  await expect(opening).rejects.toMatchObject({
    code: "SCHEME_UNKNOWN",
    message: expect.stringMatching(/nobody.*memory:.*sqlite:/) as string,
  });
});
