import { Box, type Key, Text, useApp, useInput } from "ink";
import { type ReactElement, useEffect, useState, useSyncExternalStore } from "react";
import type { Tenant } from "../types.ts";
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

/** What keys act on. */
interface Control {
  readonly fleet: Fleet;
  readonly selected: number;
  readonly tenants: readonly Tenant[];
  setCursor(index: number): void;
  setView(view: View): void;
  exit(): void;
}

function searchKeys(control: Control, view: View, input: string, key: Key): void {
  const text = view.kind === "search" ? view.text : "";
  if (key.return) control.fleet.search(text);
  if (key.return || key.escape) control.setView({ kind: "fleet" });
  else if (key.backspace || key.delete) control.setView({ kind: "search", text: text.slice(0, -1) });
  else if (!key.ctrl && !key.meta) control.setView({ kind: "search", text: text + input });
}

function schoolKeys(control: Control, _view: View, input: string, key: Key): void {
  if (input === "q") control.exit();
  else if (key.escape || key.leftArrow || input === "b") control.setView({ kind: "fleet" });
}

/** Keys by name of the key or by character. */
const FLEET_KEYS: Readonly<Record<string, (control: Control) => void>> = {
  q: (control) => control.exit(),
  j: (control) => control.setCursor(Math.min(control.selected + 1, control.tenants.length - 1)),
  k: (control) => control.setCursor(Math.max(control.selected - 1, 0)),
  n: (control) => control.fleet.nextPage(),
  p: (control) => control.fleet.previousPage(),
  "/": (control) => control.setView({ kind: "search", text: "" }),
};

const ALIASES: ReadonlyArray<readonly [keyof Key, string]> = [
  ["downArrow", "j"],
  ["upArrow", "k"],
  ["pageDown", "n"],
  ["pageUp", "p"],
];

function fleetKeys(control: Control, _view: View, input: string, key: Key): void {
  const tenant = control.tenants[control.selected];
  if (key.return && tenant !== undefined) {
    control.setView({ kind: "school", slug: tenant.slug });
    return;
  }
  const name = ALIASES.find(([alias]) => key[alias] === true)?.[1] ?? input;
  FLEET_KEYS[name]?.(control);
}

const KEYS: Readonly<Record<View["kind"], (control: Control, view: View, input: string, key: Key) => void>> = {
  search: searchKeys,
  school: schoolKeys,
  fleet: fleetKeys,
};

/** A colour property only where there is a colour. */
function colored(color: string | undefined): { readonly color?: string } {
  return color === undefined ? {} : { color };
}

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

  const control: Control = { fleet, selected, tenants: state.tenants, setCursor, setView, exit };
  useInput((input, key) => KEYS[view.kind](control, view, input, key));

  const line = state.connected ? "live" : "not connected";
  const school = view.kind === "school" ? state.tenants.find((tenant) => tenant.slug === view.slug) : undefined;
  return (
    <Box flexDirection="column" width={columns}>
      <Text bold={true}>
        {`${title}  page ${state.page + 1}${state.hasNext ? "+" : ""}  ${line}`.slice(0, columns)}
      </Text>
      {state.error === undefined ? null : (
        <Text {...colored(color ? "red" : undefined)}>{`! ${state.error}`.slice(0, columns)}</Text>
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
              <Text key={tenant.slug} {...colored(color ? COLORS[row.level] : undefined)} inverse={index === selected}>
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
  return "Enter open  / search  n p page  q quit   + good  ~ busy  ! bad  - off";
}
