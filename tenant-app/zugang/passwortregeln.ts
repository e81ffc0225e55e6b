import { isFrequent } from "./haeufige-passwoerter.ts";

export const shortest = 12;
export const longest = 200;

/** Why a new password is refused, in words for the person, or undefined when it is good. */
export function passwordProblem(
  password: string,
  about: { readonly benutzername: string; readonly vorname: string; readonly nachname: string },
): string | undefined {
  if ([...password].length < shortest) {
    return `Das Passwort muss mindestens ${shortest} Zeichen lang sein. Ein kurzer Satz merkt sich gut.`;
  }
  if (password.length > longest) {
    return `Das Passwort darf höchstens ${longest} Zeichen lang sein.`;
  }
  const plain = simplified(password);
  const own = [about.benutzername, `${about.vorname}${about.nachname}`, `${about.nachname}${about.vorname}`].map(
    simplified,
  );
  if (own.some((name) => name.length > 3 && plain.includes(name))) {
    return "Das Passwort darf nicht Ihren Namen oder Benutzernamen enthalten.";
  }
  if (isFrequent(password)) {
    return "Dieses Passwort ist zu verbreitet und leicht zu erraten. Bitte wählen Sie ein anderes.";
  }
  return undefined;
}

/** Letters and digits only, so that „Juergen.Gross!" counts as „juergengross". */
function simplified(text: string): string {
  return text
    .toLowerCase()
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}]/gu, "");
}
