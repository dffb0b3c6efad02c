import { useState } from "react";
import type { Chat } from "./chat.js";
import { MessageView } from "./message-view.js";
import { ReviewCard } from "./review-card.js";
import { StatePanel } from "./state-panel.js";

const IDEAS = ["What is the weather in Paris?", "Email Bob", "Research tea", "Count to 200"];

export function ChatView({ chat }: { readonly chat: Chat }) {
  const isEmpty = chat.messages.length === 0 && !chat.isLoading;
  return (
    <main data-running={chat.isRunning} data-loading={chat.isLoading}>
      <section className="conversation">
        {isEmpty && (
          <div className="ideas">
            {IDEAS.map((idea) => (
              <button key={idea} onClick={() => chat.send(idea)}>
                {idea}
              </button>
            ))}
          </div>
        )}
        <ol className="messages">
          {chat.messages.map((message) => (
            <MessageView key={message.id} message={message} chat={chat} />
          ))}
        </ol>
        {chat.review !== null && <ReviewCard review={chat.review} decide={chat.decide} />}
        {chat.error !== null && <p role="alert">{chat.error}</p>}
        <Composer chat={chat} />
      </section>
      <StatePanel todos={chat.todos} files={chat.files} />
    </main>
  );
}

function Composer({ chat }: { readonly chat: Chat }) {
  const [text, setText] = useState("");
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "" || chat.isRunning) return;
        chat.send(text);
        setText("");
      }}
    >
      <input
        aria-label="Message"
        placeholder="Ask something"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {chat.isRunning ? (
        <button type="button" onClick={chat.stop}>
          Stop
        </button>
      ) : (
        <button type="submit">Send</button>
      )}
    </form>
  );
}
