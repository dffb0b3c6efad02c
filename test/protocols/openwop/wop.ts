import { requester } from "../../support/requests.js";
import { until } from "../../support/server.js";

/** Requests of an OpenWOP client, made by hand. @param base with the mount's path */
export function wop(base: string, credentials: Readonly<Record<string, string>> = {}) {
  const call = requester(base);
  const send = (
    method: string,
    path: string,
    body?: Parameters<typeof call>[2],
    headers: Readonly<Record<string, string>> = {},
  ) => call(method, path, body, { ...credentials, ...headers });
  const get = (path: string, headers?: Readonly<Record<string, string>>) => send("GET", path, undefined, headers);
  const post = (path: string, body: Parameters<typeof call>[2] = {}, headers?: Readonly<Record<string, string>>) =>
    send("POST", path, body, headers);
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- snapshots of many shapes, checked by the tests
  const reach = async (runId: string, ...statuses: readonly string[]): Promise<any> => {
    let snapshot: { readonly status: string } | undefined;
    await until(
      async () => {
        snapshot = (await get(`/v1/runs/${runId}`)).json as typeof snapshot;
        return statuses.includes(snapshot?.status ?? "");
      },
      `run ${runId} to be ${statuses.join(" or ")}, it is ${JSON.stringify(snapshot)}`,
    );
    return snapshot;
  };
  return {
    send,
    get,
    post,
    reach,
    /** @returns the id of a new run of a fixture */
    async start(fixture: string, more: Record<string, never> | object = {}): Promise<string> {
      const answer = await post("/v1/runs", { workflowId: `conformance-${fixture}`, ...more });
      if (answer.status !== 201) throw new Error(`answered with ${answer.status}: ${answer.text}`);
      return answer.json.runId as string;
    },
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
    async events(runId: string): Promise<any[]> {
      return (await get(`/v1/runs/${runId}/events/poll?timeout=1`)).json.events;
    },
    resolve: (runId: string, nodeId: string, resumeValue: Parameters<typeof call>[2], more: object = {}) =>
      post(`/v1/runs/${runId}/interrupts/${nodeId}`, { resumeValue, ...more }),
  };
}

export type Wop = ReturnType<typeof wop>;
