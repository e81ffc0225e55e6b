import { Box, Text, useApp, useInput } from "ink";
import { type ReactElement, useEffect, useState, useSyncExternalStore } from "react";
import type { Fleet } from "./fleet.ts";
import { detailLines, type FleetRow, fleetLine, fleetRow, HEADER } from "./rows.ts";

const COLORS: Readonly<Record<FleetRow["level"], string | undefined>> = {
  good: undefined,
  busy: "yellow",
  bad: "red",
  off: "gray",
};

/** Ages move; once in ten seconds is often enough to see it. */
const TICK_MS = 10_000;

export interface DashboardProps {
  readonly fleet: Fleet;
  readonly title: string;
  readonly columns: number;
  readonly color: boolean;
}

type View =
  | { readonly kind: "fleet" }
  | { readonly kind: "school"; readonly slug: string }
  | { readonly kind: "search"; readonly text: string };

function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** The whole dashboard: the fleet, one school in depth, a search. Keys are named in the last line. */
export function Dashboard({ fleet, title, columns, color }: DashboardProps): ReactElement {
  const state = useSyncExternalStore(fleet.subscribe, fleet.state);
  const [cursor, setCursor] = useState(0);
  const [view, setView] = useState<View>({ kind: "fleet" });
  const { exit } = useApp();
  const now = useNow();
  const selected = Math.min(cursor, Math.max(0, state.tenants.length - 1));

  useInput((input, key) => {
    if (view.kind === "search") {
      if (key.return) {
        fleet.search(view.text);
        setView({ kind: "fleet" });
      } else if (key.escape) setView({ kind: "fleet" });
      else if (key.backspace || key.delete) setView({ kind: "search", text: view.text.slice(0, -1) });
      else if (!key.ctrl && !key.meta) setView({ kind: "search", text: view.text + input });
      return;
    }
    if (input === "q" || (key.ctrl && input === "c")) exit();
    else if (view.kind === "school") {
      if (key.escape || key.leftArrow || input === "b") setView({ kind: "fleet" });
    } else if (key.downArrow || input === "j") setCursor(Math.min(selected + 1, state.tenants.length - 1));
    else if (key.upArrow || input === "k") setCursor(Math.max(selected - 1, 0));
    else if (key.pageDown || input === "n") fleet.nextPage();
    else if (key.pageUp || input === "p") fleet.previousPage();
    else if (input === "/") setView({ kind: "search", text: "" });
    else if (key.return && state.tenants[selected] !== undefined)
      setView({ kind: "school", slug: state.tenants[selected].slug });
  });

  const line = state.connected ? "live" : "not connected";
  const school = view.kind === "school" ? state.tenants.find((tenant) => tenant.slug === view.slug) : undefined;
  return (
    <Box flexDirection="column" width={columns}>
      <Text bold={true}>
        {`${title}  page ${state.page + 1}${state.hasNext ? "+" : ""}  ${line}`.slice(0, columns)}
      </Text>
      {state.error === undefined ? null : (
        <Text color={color ? "red" : undefined}>{`! ${state.error}`.slice(0, columns)}</Text>
      )}
      {view.kind === "school" ? (
        <SchoolView lines={school === undefined ? [`${view.slug} is gone.`] : detailLines(school, now, columns)} />
      ) : (
        <Box flexDirection="column">
          <Text>{fleetLine(HEADER, columns - 2)}</Text>
          {state.tenants.length === 0 ? <Text>No school matches.</Text> : null}
          {state.tenants.map((tenant, index) => {
            const row = fleetRow(tenant, now);
            return (
              <Text key={tenant.slug} color={color ? COLORS[row.level] : undefined} inverse={index === selected}>
                {fleetLine(row, columns - 2)}
              </Text>
            );
          })}
        </Box>
      )}
      <Text dimColor={color}>{footer(view)}</Text>
    </Box>
  );
}

function SchoolView({ lines }: { readonly lines: readonly string[] }): ReactElement {
  return (
    <Box flexDirection="column">
      {lines.map((text, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no identity beyond their place
        <Text key={index}>{text === "" ? " " : text}</Text>
      ))}
    </Box>
  );
}

function footer(view: View): string {
  if (view.kind === "search") return `Search: ${view.text}_   Enter search  Esc back`;
  if (view.kind === "school") return "b back  q quit";
  return "Enter open  / search  n next page  p previous page  q quit   + good  ~ busy  ! bad  - off";
}
