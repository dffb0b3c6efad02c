import { HeddleError } from "../core/errors.js";

/** What turns texts into vectors, as users give it: a LangChain `Embeddings` by its shape, or a function. */
export type EmbeddingsLike =
  | {
      embedDocuments(texts: string[]): Promise<readonly ArrayLike<number>[]>;
      embedQuery(text: string): Promise<ArrayLike<number>>;
    }
  | ((texts: string[]) => Promise<readonly ArrayLike<number>[]> | readonly ArrayLike<number>[]);

/** The same, whichever it was. */
export interface TextModel {
  /** Tells it from others, as well as it can be told: class and model name, or a function's name. */
  readonly id: string;
  /** What it says of its own vectors; `null`: nothing. */
  readonly dims: number | null;
  embedTexts(texts: readonly string[]): Promise<readonly ArrayLike<number>[]>;
  embedQuery(text: string): Promise<ArrayLike<number>>;
}

/**
 * A model behind one interface.
 * @param field named in the error: `store.index.embed`
 * @param id where it was named (`openai:text-embedding-3-small`, `./embed.ts:embed`); default: what the value tells of itself
 * @throws HeddleError `CONFIG_INVALID` when it is neither a function nor LangChain's `Embeddings`
 */
export function toTextModel(value: unknown, field: string, id?: string): TextModel {
  if (typeof value === "function") {
    const embed = value as Extract<EmbeddingsLike, (...args: never[]) => unknown>;
    return {
      id: id ?? `function ${embed.name}`,
      dims: null,
      embedTexts: async (texts) => embed([...texts]),
      embedQuery: async (text) => {
        const [vector] = await embed([text]);
        if (vector === undefined) throw new TypeError("the function returned no vector");
        return vector;
      },
    };
  }
  if (!isEmbeddings(value)) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `${field}: must be a function of a list of texts that returns a list of vectors, or LangChain's Embeddings (with embedDocuments and embedQuery).`,
    });
  }
  const { model, modelName, dimensions } = value as { readonly [name: string]: unknown };
  const name = [model, modelName].find((given) => typeof given === "string");
  return {
    id: id ?? [value.constructor.name, name].filter(Boolean).join(" "),
    dims: typeof dimensions === "number" ? dimensions : null,
    embedTexts: async (texts) => value.embedDocuments([...texts]),
    embedQuery: async (text) => value.embedQuery(text),
  };
}

function isEmbeddings(value: unknown): value is Exclude<EmbeddingsLike, (...args: never[]) => unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { embedDocuments, embedQuery } = value as { readonly [name: string]: unknown };
  return typeof embedDocuments === "function" && typeof embedQuery === "function";
}
