import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { HeddleError } from "../core/errors.js";

/**
 * Where LangChain.js has the models of a provider, under the names of Python's `init_embeddings`, which `provider:model` of
 * langgraph.json comes from; LangChain.js 1.5 has no such function. Each takes `{model}` and finds its key in the environment.
 */
const PROVIDERS: Readonly<Record<string, { readonly from: string; readonly exportName: string }>> = {
  azure_openai: { from: "@langchain/openai", exportName: "AzureOpenAIEmbeddings" },
  bedrock: { from: "@langchain/aws", exportName: "BedrockEmbeddings" },
  cohere: { from: "@langchain/cohere", exportName: "CohereEmbeddings" },
  google_genai: { from: "@langchain/google-genai", exportName: "GoogleGenerativeAIEmbeddings" },
  google_vertexai: { from: "@langchain/google-vertexai", exportName: "VertexAIEmbeddings" },
  mistralai: { from: "@langchain/mistralai", exportName: "MistralAIEmbeddings" },
  ollama: { from: "@langchain/ollama", exportName: "OllamaEmbeddings" },
  openai: { from: "@langchain/openai", exportName: "OpenAIEmbeddings" },
};

/** Names that `provider:model` may begin with, sorted. */
const PROVIDER_NAMES: readonly string[] = Object.keys(PROVIDERS).sort();

/**
 * The embeddings of a provider, from the package that the user's project has.
 * @param params.field named in messages: `store.index.embed`
 * @param params.cwd folder of the user's project
 * @throws HeddleError `CONFIG_INVALID` for an unknown provider, or what its class says (a missing key); `DEPENDENCY_MISSING`
 * with the command that installs the package
 */
export async function openProvider(params: {
  readonly field: string;
  readonly provider: string;
  readonly model: string;
  readonly cwd: string;
}): Promise<object> {
  const { field, provider, model, cwd } = params;
  const known = Object.hasOwn(PROVIDERS, provider) ? PROVIDERS[provider] : undefined;
  if (known === undefined) {
    throw new HeddleError("CONFIG_INVALID", {
      message: `${field}: there is no provider "${provider}". Known are ${PROVIDER_NAMES.join(", ")}; for another one name a file that exports LangChain's Embeddings: "./src/embeddings.ts:embeddings".`,
    });
  }
  const { from, exportName } = known;
  let file: string;
  try {
    file = createRequire(join(cwd, "langgraph.json")).resolve(from);
  } catch (error) {
    throw new HeddleError("DEPENDENCY_MISSING", {
      message: `${field}: "${provider}:${model}" needs a package that is not installed: run \`npm install ${from}\`.`,
      details: { packages: [from] },
      cause: error,
    });
  }
  try {
    const module = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
    const made =
      module[exportName] ?? (module["default"] as Readonly<Record<string, unknown>> | undefined)?.[exportName];
    if (typeof made !== "function") throw new TypeError(`${from} exports no ${exportName}`);
    return Reflect.construct(made, [{ model }]) as object;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HeddleError("CONFIG_INVALID", {
      message: `${field}: "${provider}:${model}" could not be opened: ${reason}`,
      cause: error,
    });
  }
}
