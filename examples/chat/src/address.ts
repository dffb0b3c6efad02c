import { useCallback, useState } from "react";

/** How the page talks to the server. */
export const TRANSPORTS = {
  runs: "Runs (SSE)",
  sse: "Events (SSE)",
  websocket: "Events (WebSocket)",
} as const;

export type Transport = keyof typeof TRANSPORTS;

/** What the page's URL says: `?api=http://127.0.0.1:2024&transport=runs&thread=<id>`. */
export interface Address {
  readonly api: string;
  readonly transport: Transport;
  readonly threadId: string | null;
}

function read(): Address {
  const params = new URLSearchParams(location.search);
  const transport = params.get("transport");
  return {
    api: params.get("api") ?? "http://127.0.0.1:2024",
    transport: transport === "sse" || transport === "websocket" ? transport : "runs",
    threadId: params.get("thread"),
  };
}

/** The address, and how to change it without loading the page again: a reload then finds the same thread. */
export function useAddress(): readonly [Address, (change: Partial<Address>) => void] {
  const [address, setAddress] = useState(read);
  const change = useCallback((part: Partial<Address>) => {
    const { api, transport, threadId } = { ...read(), ...part };
    const params = new URLSearchParams({ api, transport, ...(threadId !== null && { thread: threadId }) });
    history.replaceState(null, "", `?${params}`);
    setAddress({ api, transport, threadId });
  }, []);
  return [address, change];
}
