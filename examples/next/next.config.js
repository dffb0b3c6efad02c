/** @type {import("next").NextConfig} */
export default {
  // Loaded by Node as they are: Heddle imports its database clients only when a storage needs them.
  serverExternalPackages: ["heddle", "better-sqlite3", "@langchain/core", "@langchain/langgraph"],
};
