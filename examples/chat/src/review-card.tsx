import { useState } from "react";
import type { Action, Decision, Review } from "./chat.js";

/** The graph waits: may it call this tool, with other arguments perhaps, or not at all? */
export function ReviewCard(props: { readonly review: Review; readonly decide: (decision: Decision) => void }) {
  const { review, decide } = props;
  const action = review.action_requests[0];
  if (action === undefined) return null;
  return <ActionCard key={JSON.stringify(action)} action={action} decide={decide} />;
}

function ActionCard({ action, decide }: { readonly action: Action; readonly decide: (decision: Decision) => void }) {
  const [args, setArgs] = useState(action.args);
  const [reason, setReason] = useState("");
  const isChanged = Object.entries(args).some(([name, value]) => value !== action.args[name]);
  return (
    <section className="review" aria-label="Review">
      <h2>May I call {action.name}?</h2>
      {Object.entries(args).map(([name, value]) => (
        <label key={name}>
          {name}
          <input value={String(value)} onChange={(event) => setArgs({ ...args, [name]: event.target.value })} />
        </label>
      ))}
      <label>
        Why not
        <input value={reason} onChange={(event) => setReason(event.target.value)} />
      </label>
      <footer>
        <button disabled={isChanged} onClick={() => decide({ type: "approve" })}>
          Approve
        </button>
        <button
          disabled={!isChanged}
          onClick={() => decide({ type: "edit", edited_action: { name: action.name, args } })}
        >
          Approve with changes
        </button>
        <button onClick={() => decide({ type: "reject", message: reason })}>Reject</button>
      </footer>
    </section>
  );
}
