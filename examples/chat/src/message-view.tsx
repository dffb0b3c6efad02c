import { type ReactNode, useState } from "react";
import type { Chat, ChatMessage, ToolCall } from "./chat.js";

export function MessageView({ message, chat }: { readonly message: ChatMessage; readonly chat: Chat }) {
  const [isEditing, setIsEditing] = useState(false);
  const { role, text, toolCalls } = message;
  return (
    <li className={`message ${role}`}>
      {isEditing ? (
        <EditForm
          text={text}
          close={() => setIsEditing(false)}
          save={(changed) => {
            setIsEditing(false);
            chat.edit(message, changed);
          }}
        />
      ) : (
        text !== "" && <p className="text">{text}</p>
      )}
      {toolCalls.map((call) => (
        <ToolCallView key={call.id} call={call} subagent={chat.subagent(call.id)} />
      ))}
      {!chat.isRunning && !isEditing && (
        <footer>
          <Branches message={message} show={chat.showBranch} />
          {role === "human" ? (
            <button disabled={!message.hasPast} onClick={() => setIsEditing(true)}>
              Edit
            </button>
          ) : (
            <button disabled={!message.hasPast} onClick={() => chat.regenerate(message)}>
              Regenerate
            </button>
          )}
        </footer>
      )}
    </li>
  );
}

function EditForm(props: { readonly text: string; readonly save: (text: string) => void; readonly close: () => void }) {
  const [text, setText] = useState(props.text);
  return (
    <form
      className="edit"
      onSubmit={(event) => {
        event.preventDefault();
        props.save(text);
      }}
    >
      <input aria-label="Changed message" value={text} onChange={(event) => setText(event.target.value)} />
      <button type="submit">Ask this instead</button>
      <button type="button" onClick={props.close}>
        Cancel
      </button>
    </form>
  );
}

function Branches({ message, show }: { readonly message: ChatMessage; readonly show: (branch: string) => void }) {
  if (message.branches === null) return null;
  const { options, shown } = message.branches;
  const index = options.indexOf(shown);
  const step = (by: number) => {
    const branch = options[index + by];
    if (branch !== undefined) show(branch);
  };
  return (
    <span className="branches">
      <button aria-label="Earlier version" disabled={index <= 0} onClick={() => step(-1)}>
        ‹
      </button>
      {index + 1} of {options.length}
      <button aria-label="Later version" disabled={index >= options.length - 1} onClick={() => step(1)}>
        ›
      </button>
    </span>
  );
}

function ToolCallView(props: { readonly call: ToolCall; readonly subagent: ReactNode }) {
  const { call, subagent } = props;
  const args = Object.entries(call.args).map(([name, value]) => `${name}: ${asText(value)}`);
  return (
    <div className="tool-call" data-tool={call.name} data-status={call.status}>
      <b>{call.name}</b> <span className="args">{args.join(", ")}</span>
      {subagent}
      {subagent === null && call.result !== null && <p className="result">{call.result}</p>}
    </div>
  );
}

/** The run of another agent inside a tool call. */
export function SubagentView(props: {
  readonly name: string;
  readonly status: string;
  readonly messages: readonly ChatMessage[];
}) {
  return (
    <div className="subagent" data-status={props.status}>
      <b>{props.name}</b>
      {props.messages.map(
        ({ id, role, text, toolCalls }) =>
          role === "ai" && (
            <div key={id}>
              {toolCalls.map((call) => (
                <ToolCallView key={call.id} call={call} subagent={null} />
              ))}
              {text !== "" && <p className="text">{text}</p>}
            </div>
          ),
      )}
    </div>
  );
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
