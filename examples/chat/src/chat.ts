import type { ReactNode } from "react";

/** What the view shows and does, whichever hook and transport is behind it. */
export interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly todos: readonly Todo[];
  readonly files: Readonly<Record<string, string>>;
  /** Calls that wait for a human. */
  readonly review: Review | null;
  /** The run of another agent inside a tool call. */
  readonly subagent: (callId: string) => ReactNode;
  readonly isRunning: boolean;
  readonly isLoading: boolean;
  readonly error: string | null;
  send(text: string): void;
  stop(): void;
  decide(decision: Decision): void;
  /** Ask again from before this answer. */
  regenerate(message: ChatMessage): void;
  /** Ask something else instead of this question. */
  edit(message: ChatMessage, text: string): void;
  showBranch(branch: string): void;
}

export interface ChatMessage {
  readonly id: string;
  readonly role: "human" | "ai";
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  /** The checkpoint before it is known, so that another version can be had. */
  readonly hasPast: boolean;
  /** Other versions of this message, and which one is shown. */
  readonly branches: { readonly options: readonly string[]; readonly shown: string } | null;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly status: "running" | "done" | "error";
  readonly result: string | null;
}

export interface Todo {
  readonly content: string;
  readonly status: "pending" | "in_progress" | "completed";
}

/** The value of the graph's interrupt, in the shape of LangChain's human-in-the-loop middleware. */
export interface Review {
  readonly action_requests: readonly Action[];
}

export interface Action {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

export type Decision =
  | { readonly type: "approve" }
  | { readonly type: "edit"; readonly edited_action: Action }
  | { readonly type: "reject"; readonly message: string };

/** The state of the graph, as far as the page reads it. */
export type ChatState = {
  messages?: unknown[];
  todos?: Todo[];
  files?: Record<string, string>;
};
