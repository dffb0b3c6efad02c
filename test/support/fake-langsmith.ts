import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A request for a feedback URL. */
export interface FeedbackRequest {
  readonly run_id: string;
  readonly feedback_key: string;
}

/** Stands in for LangSmith. */
export interface FakeLangSmith {
  /** What asked for feedback URLs, oldest first; `requested` resolves with the next. */
  readonly requests: readonly FeedbackRequest[];
  requested(): Promise<FeedbackRequest>;
  /** Restores the environment. */
  close(): Promise<void>;
}

/** The URL that {@link startFakeLangSmith} answers with. */
export const urlOf = ({ run_id, feedback_key }: FeedbackRequest): string =>
  `https://langsmith.test/feedback/tokens/${run_id}/${feedback_key}`;

/**
 * A LangSmith on a free port of 127.0.0.1, and the environment that makes LangChain's client talk to it. That client is
 * made once per process, on first use: one of these per test file.
 * @param answer HTTP status for a key; `null` never answers. Default 200
 */
export async function startFakeLangSmith(answer: (key: string) => number | null = () => 200): Promise<FakeLangSmith> {
  const requests: FeedbackRequest[] = [];
  let waiting: ((request: FeedbackRequest) => void)[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      // Anything else is what the client wants to know of the server.
      if (request.method !== "POST" || request.url !== "/feedback/tokens") {
        response.end("{}");
        return;
      }
      if (request.headers["x-api-key"] !== "test-key") {
        response.writeHead(401).end("{}");
        return;
      }
      const asked = JSON.parse(Buffer.concat(chunks).toString("utf8")) as FeedbackRequest;
      requests.push(asked);
      for (const resolve of waiting.splice(0)) resolve(asked);
      const status = answer(asked.feedback_key);
      if (status !== null)
        response.writeHead(status).end(status === 200 ? JSON.stringify({ id: "t", url: urlOf(asked) }) : "{}");
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const variables = {
    LANGSMITH_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    LANGSMITH_API_KEY: "test-key",
  };
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  return {
    requests,
    requested: () => new Promise((resolve) => void waiting.push(resolve)),
    async close() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      waiting = [];
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
