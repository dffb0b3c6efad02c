import { expect, it } from "vitest";
import type { Stage } from "../support/chat-suite.js";

/** The graph waits for a human. */
export function reviewScenarios(stage: Stage): void {
  const askForEmail = async (): Promise<void> => {
    const { chat } = stage;
    await chat.ask("Email Bob");
    await chat.page.getByRole("region", { name: "Review" }).waitFor();
    await chat.idle();
    const { status } = await stage.client.threads.get(chat.threadId());
    expect(status).toBe("interrupted");
  };
  /** The answer when the review is over. */
  const answer = async (): Promise<string | null> => {
    const { chat } = stage;
    await chat.answer().waitFor();
    await chat.idle();
    expect(await chat.page.getByRole("region", { name: "Review" }).count()).toBe(0);
    expect((await stage.client.threads.get(chat.threadId())).status).toBe("idle");
    await chat.agreesWithServer();
    return chat.answer().textContent();
  };

  it("calls the tool when a human approves", async () => {
    await askForEmail();
    await stage.chat.press("Approve");
    expect(await answer()).toBe("Done. Sent “Lunch” to bob@example.com.");
  });

  it("calls the tool with what a human changed", async () => {
    const { chat } = stage;
    await askForEmail();
    await chat.page.getByLabel("to", { exact: true }).fill("robert@example.com");
    await chat.press("Approve with changes");
    expect(await answer()).toBe("Done. Sent “Lunch” to robert@example.com.");
    expect(await chat.page.locator('.tool-call[data-tool="send_email"] .args').textContent()).toContain("robert@");
  });

  it("does not call the tool when a human rejects, and says why", async () => {
    const { chat } = stage;
    await askForEmail();
    await chat.page.getByLabel("Why not").fill("Friday is a holiday.");
    await chat.press("Reject");
    expect(await answer()).toBe("I did not send it: Friday is a holiday.");
  });

  it("stops the run that goes on after an approval", async () => {
    const { chat } = stage;
    await chat.ask("Email Bob, then count to 400");
    await chat.page.getByRole("region", { name: "Review" }).waitFor();
    await chat.idle();
    await chat.press("Approve");
    await chat.answered(10);
    await chat.press("Stop");
    await chat.idle();
    await chat.cancelled();
    expect(await chat.page.getByRole("alert").count()).toBe(0);
  });

  it("still waits after a reload", async () => {
    const { chat } = stage;
    await askForEmail();
    await chat.page.reload();
    await chat.page.getByRole("region", { name: "Review" }).waitFor();
    await chat.press("Approve");
    expect(await answer()).toBe("Done. Sent “Lunch” to bob@example.com.");
  });
}
