export default function Page() {
  return <p>Next here; the agent is under /api.</p>;
}
