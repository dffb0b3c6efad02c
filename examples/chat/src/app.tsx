import { useCallback } from "react";
import { type Transport, TRANSPORTS, useAddress } from "./address.js";
import { EventsChat } from "./events-chat.js";
import { RunsChat } from "./runs-chat.js";

export function App() {
  const [address, change] = useAddress();
  const onThreadId = useCallback((threadId: string) => change({ threadId }), [change]);
  const { api, transport } = address;
  return (
    <>
      <header>
        <h1>Heddle chat</h1>
        <select
          aria-label="Transport"
          value={transport}
          onChange={(event) => change({ transport: event.target.value as Transport })}
        >
          {Object.entries(TRANSPORTS).map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
        <button onClick={() => change({ threadId: null })}>New thread</button>
      </header>
      {transport === "runs" ? (
        <RunsChat key={api} address={address} onThreadId={onThreadId} />
      ) : (
        <EventsChat key={`${api} ${transport}`} address={address} transport={transport} onThreadId={onThreadId} />
      )}
    </>
  );
}
