import { domainToASCII } from "node:url";
import { z } from "zod";
import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import { mitNamen, namensangaben, speicherePerson } from "../personen/public.ts";
import { baseUserName, freeUserName } from "./benutzername.ts";

/** A mail address, whose domain may hold letters of any script. */
export const email = z
  .string()
  .trim()
  .min(1, "Bitte geben Sie die E-Mail-Adresse an.")
  .max(254, "Die E-Mail-Adresse ist zu lang.")
  .refine(isMailAddress, "Das ist keine gültige E-Mail-Adresse. Beispiel: name@schule.de");

/** As mail programs write it: the domain in its ASCII form (IDNA), when that is a mail address. */
function isMailAddress(text: string): boolean {
  const at = text.lastIndexOf("@");
  const domain = domainToASCII(text.slice(at + 1));
  return at > 0 && domain !== "" && z.email().safeParse(`${text.slice(0, at)}@${domain}`).success;
}

/** What every account must have, and nothing more (R13). */
export const personenangaben = mitNamen(namensangaben.extend({ email }));
export type Personenangaben = z.infer<typeof personenangaben>;

export interface NeuesKonto extends Personenangaben {
  /** Of the person, too. */
  readonly id: string;
  readonly ersterAdministrator?: boolean;
}

/** Stores a new person with an account, see `gibKonto`. A second one with the same id violates `person_pkey`. */
export async function speichereKonto(tx: Transaction, now: Date, konto: NeuesKonto): Promise<string> {
  await speicherePerson(tx, now, konto);
  return gibKonto(tx, now, konto);
}

/**
 * Gives a person an account and returns its user name. Two that are created at the same moment with the same name do not
 * collide: the name is tried again. A second one for the same person violates `konto_pkey`.
 */
export async function gibKonto(tx: Transaction, now: Date, konto: NeuesKonto): Promise<string> {
  const base = await baseUserName(konto.vorname, konto.nachname);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const rows = await tx.all<{ benutzername: string }>(
      "SELECT benutzername FROM konto WHERE benutzername = $1 OR benutzername ~ ('^' || $2 || '[0-9]+$')",
      [base, base.replaceAll(".", "\\.")],
    );
    const benutzername = freeUserName(base, new Set(rows.map((row) => row.benutzername)));
    await tx.run("SAVEPOINT neues_konto");
    try {
      await tx.run(
        "INSERT INTO konto (id, benutzername, email, angelegt_am, erster_administrator) VALUES ($1, $2, $3, $4, $5)",
        [konto.id, benutzername, konto.email, now, konto.ersterAdministrator ?? false],
      );
      return benutzername;
    } catch (error) {
      if (!isDuplicate(error, "konto_benutzername_key")) {
        throw error;
      }
      await tx.run("ROLLBACK TO SAVEPOINT neues_konto");
    }
  }
  throw new Error("no free user name was found");
}
