import { z } from "zod";
import { isDuplicate, type Transaction } from "../../ground/database/database.ts";
import { baseUserName, freeUserName, searchName } from "./benutzername.ts";

const printable = /^[^\p{Cc}\p{Cf}\p{Co}\p{Cn}]*$/u;
/** @param wer what the name is called, in the nominative; @param wen in the accusative */
const name = (wer: string, wen: string) =>
  z
    .string()
    .trim()
    .min(1, `Bitte geben Sie den ${wen} an.`)
    .max(100, `Der ${wer} darf höchstens 100 Zeichen lang sein.`)
    .regex(printable, `Der ${wer} enthält unzulässige Zeichen.`)
    .transform((text) => text.normalize("NFC"));

/** What every account must have, and nothing more (R13). */
export const personenangaben = z.object({
  vorname: name("Vorname", "Vornamen"),
  nachname: name("Nachname", "Nachnamen"),
  email: z
    .string()
    .trim()
    .min(1, "Bitte geben Sie die E-Mail-Adresse an.")
    .max(254, "Die E-Mail-Adresse ist zu lang.")
    .pipe(z.email("Das ist keine gültige E-Mail-Adresse. Beispiel: name@schule.de")),
});
export type Personenangaben = z.infer<typeof personenangaben>;

export interface NeuesKonto extends Personenangaben {
  readonly id: string;
  readonly ersterAdministrator?: boolean;
}

/**
 * Stores a new account and returns its user name. Two that are created at the same moment with the same name do not
 * collide: the name is tried again. A second account with the same id violates `konto_pkey`.
 */
export async function speichereKonto(tx: Transaction, now: Date, konto: NeuesKonto): Promise<string> {
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
        `INSERT INTO konto (id, benutzername, vorname, nachname, email, suchname, angelegt_am, erster_administrator)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
        [
          konto.id,
          benutzername,
          konto.vorname,
          konto.nachname,
          konto.email,
          searchName(konto.vorname, konto.nachname),
          now,
          konto.ersterAdministrator ?? false,
        ],
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
