import type { Todo } from "./chat.js";

/** State of the graph that is no message. */
export function StatePanel(props: {
  readonly todos: readonly Todo[];
  readonly files: Readonly<Record<string, string>>;
}) {
  const files = Object.entries(props.files);
  return (
    <aside>
      <h2>Todos</h2>
      {props.todos.length === 0 && <p className="none">None yet.</p>}
      <ul className="todos">
        {props.todos.map(({ content, status }) => (
          <li key={content} data-status={status}>
            {content}
          </li>
        ))}
      </ul>
      <h2>Files</h2>
      {files.length === 0 && <p className="none">None yet.</p>}
      {files.map(([path, content]) => (
        <details key={path} className="file" open>
          <summary>{path}</summary>
          <pre>{content}</pre>
        </details>
      ))}
    </aside>
  );
}
