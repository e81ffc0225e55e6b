import type { Command } from "commander";
import type { Client } from "../client.ts";
import { CliError, EXIT } from "../errors.ts";
import { details } from "../output.ts";
import { type CommonOptions, connect, print, type Session } from "../session.ts";
import type { Clock } from "../types.ts";

interface ConfirmOptions extends CommonOptions {
  readonly reason: string;
  readonly date?: string;
}

/** The clock, or undefined when the control plane cannot be asked now. */
export function readClock(client: Client): Promise<Clock | undefined> {
  return client.get<Clock>("/v1/clock").catch((error: unknown) => {
    if (error instanceof CliError) return undefined;
    throw error;
  });
}

/** One line on the clock, for people. */
export function describeClockState(clock: Clock): string {
  if (clock.trusted) return "believed";
  return `JUMPED: it says ${clock.now.slice(0, 16)}Z, the last time seen was ${(clock.lastSeen ?? "").slice(0, 16)}Z`;
}

/** What to do about a clock that jumped. */
export const CLOCK_REMEDY =
  'Wrong? Set it right (timedatectl set-ntp true). Right (the machine was off)? classmind clock confirm --reason "…"';

function describeClock(clock: Clock): string {
  return details([
    ["Clock", clock.now],
    ["Last time seen", clock.lastSeen],
    ["State", clock.trusted ? "believed" : "JUMPED: nothing is done because of a date"],
    ["Next", clock.trusted ? undefined : CLOCK_REMEDY],
  ]);
}

/** The date as the person knows it: typed, not read off the clock that is in doubt. */
async function askDate(session: Session, clock: Clock): Promise<string> {
  const answer = await session.terminal.ask(
    `The platform's clock says ${clock.now.slice(0, 10)} (the last time seen was ${(clock.lastSeen ?? "").slice(0, 10)}).\n` +
      "From then on backups are forgotten, certificates renewed, demos closed and deleted schools purged by that clock.\n" +
      "Type today's date (YYYY-MM-DD) to go on: ",
  );
  if (answer === undefined)
    throw new CliError(EXIT.usage, "Nobody is here to say what day it is.", { remedy: "Add --date YYYY-MM-DD." });
  return answer.trim();
}

/** `classmind clock …` */
export function addClockCommands(program: Command, session: Session): void {
  const clock = program.command("clock").description("whether the platform believes its clock; vouch for it");
  clock
    .command("show")
    .description("the clock, the last time seen, and whether the clock is believed; exit code 7 when it is not")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const state = await connect(session, options).get<Clock>("/v1/clock");
      print(session, options, state, describeClock);
      if (!state.trusted) throw new CliError(EXIT.failed, "The clock jumped.", { remedy: CLOCK_REMEDY });
    });
  clock
    .command("confirm")
    .description("vouch for a clock that is far from the last time seen, after the machine was off for days")
    .requiredOption("--reason <text>", "why; kept in the audit")
    .option("--date <date>", "today's date, YYYY-MM-DD; without it you are asked")
    .addHelpText("after", '\nExample:\n  $ classmind clock confirm --reason "Server war in den Ferien aus"')
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ConfirmOptions>();
      const client = connect(session, options);
      const state = await client.get<Clock>("/v1/clock");
      const date = state.trusted ? state.now.slice(0, 10) : (options.date ?? (await askDate(session, state)));
      await client.post<Clock>("/v1/clock/confirm", { date, reason: options.reason });
      print(
        session,
        options,
        { confirmed: true, date },
        () => "The clock is confirmed. Within half a minute the platform goes on with what waited for it.\n",
      );
    });
}
