import { render } from "ink";
import { createElement } from "react";
import type { Client } from "../client.ts";
import { Dashboard } from "./app.tsx";
import { openFleet } from "./fleet.ts";

/** The terminal that the dashboard is shown on; fake streams in tests. */
export interface Screen {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly color: boolean;
  /** Every frame written whole, one after the other, for tests to read. */
  readonly plainFrames?: boolean;
}

/**
 * Shows the fleet until someone leaves (q or Ctrl-C), on the terminal's second screen: what stood on the first stands there
 * again afterwards.
 */
export async function showDashboard(client: Client, title: string, screen: Screen): Promise<void> {
  const fleet = openFleet(client);
  const frames = screen.plainFrames === true;
  const shown = render(createElement(Dashboard, { fleet, title, color: screen.color }), {
    stdin: screen.stdin,
    stdout: screen.stdout,
    exitOnCtrlC: true,
    // The caller has made sure of a terminal; a CI's variables say nothing about it.
    interactive: true,
    alternateScreen: !frames,
    debug: frames,
  });
  try {
    await shown.waitUntilExit();
  } finally {
    fleet.stop();
  }
}
