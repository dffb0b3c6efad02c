import { useStreamContext } from "@langchain/langgraph-sdk/react-ui";
import * as React from "react";
import { shared } from "@acme/shared";
import { label } from "./label.js";
import logo from "./logo.svg";
import "./styles.css";

function Weather({ city, degrees }: { readonly city: string; readonly degrees: number }) {
  const { meta } = useStreamContext<Record<string, unknown>, { MetaType: { unit: string } }>();
  const [clicks, setClicks] = React.useState(0);
  return (
    <button className="weather" onClick={() => setClicks(clicks + 1)}>
      <img src={logo} alt="" />
      {label(city)}: {degrees} {meta?.unit}, {shared}, clicked {clicks}
    </button>
  );
}

export default { weather: Weather, plain: ({ text }: { readonly text: string }) => <p>{text}</p> };
