import { isFrequent, isOfSchool } from "./haeufige-passwoerter.ts";

export const shortest = 12;
export const longest = 200;

/** Why a new password is refused, in words for the person, or undefined when it is good. */
export function passwordProblem(
  password: string,
  about: { readonly userName: string; readonly firstName: string; readonly lastName: string },
  schoolName: string,
): string | undefined {
  if ([...password].length < shortest) {
    return `Das Passwort muss mindestens ${shortest} Zeichen lang sein. Einen kurzen Satz können Sie sich gut merken.`;
  }
  if (password.length > longest) {
    return `Das Passwort darf höchstens ${longest} Zeichen lang sein.`;
  }
  const plain = simplified(password);
  const own = [about.userName, `${about.firstName}${about.lastName}`, `${about.lastName}${about.firstName}`].map(
    simplified,
  );
  if (own.some((name) => name.length > 3 && plain.includes(name))) {
    return "Das Passwort darf nicht Ihren Namen oder Benutzernamen enthalten.";
  }
  if (isOfSchool(password, schoolName)) {
    return "Das Passwort besteht nur aus dem Namen Ihrer Schule und ist leicht zu erraten. Bitte wählen Sie ein anderes.";
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
