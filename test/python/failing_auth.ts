import { Auth } from "@langchain/langgraph-sdk/auth";

/** Fails as a deployer's own code does: an error that is no refusal. */
export const auth = new Auth().authenticate(() => {
  throw new Error("the directory of users is away");
});
