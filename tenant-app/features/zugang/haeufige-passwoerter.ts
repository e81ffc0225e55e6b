/**
 * Frequent passwords of twelve and more characters, or the words they are built from: digits and signs around them do
 * not help. Short ones need not be listed, the minimum length excludes them.
 */
const stems: readonly string[] = [
  "passwort",
  "password",
  "kennwort",
  "geheimnis",
  "qwertz",
  "qwerty",
  "asdfgh",
  "yxcvbn",
  "iloveyou",
  "ichliebedich",
  "hallowelt",
  "helloworld",
  "sommer",
  "winter",
  "fruehling",
  "frühling",
  "herbst",
  "schule",
  "gymnasium",
  "classmind",
  "schatzi",
  "fussball",
  "fußball",
  "dragon",
  "monkey",
  "letmein",
  "welcome",
  "willkommen",
  "princess",
  "prinzessin",
  "superman",
  "batman",
  "pokemon",
  "minecraft",
  "fortnite",
  "starwars",
  "administrator",
  "lehrerzimmer",
  "deutschland",
  "schalke",
  "bayernmuenchen",
  "borussia",
  "internet",
  "computer",
  "abcdefghijkl",
  "changeme",
  "trustno1",
  "test",
];

const found = new Set(stems);

/** Whether a password is nothing but a frequent one, repeated, counted up or decorated. */
export function isFrequent(password: string): boolean {
  const plain = password.toLowerCase().normalize("NFC");
  const words = plain.split(/[^\p{L}]+/u).filter((word) => word !== "");
  if (words.length > 0 && words.every((word) => found.has(word) || isRepeated(word))) {
    return true;
  }
  return isRepeated(plain) || isRow(plain);
}

/** „abcabcabcabc", „aaaaaaaaaaaa" or a frequent word written several times. */
function isRepeated(text: string): boolean {
  for (let length = 1; length <= Math.min(8, Math.floor(text.length / 2)); length += 1) {
    const piece = text.slice(0, length);
    if (text.length % length === 0 && piece.repeat(text.length / length) === text) {
      return true;
    }
  }
  return stems.some(
    (stem) =>
      text.length > stem.length && text.length % stem.length === 0 && stem.repeat(text.length / stem.length) === text,
  );
}

const rows = [
  "0123456789012345678901234567890",
  "abcdefghijklmnopqrstuvwxyz",
  "qwertzuiopü+asdfghjklöä#yxcvbnm",
  "qwertyuiop[]asdfghjkl;'zxcvbnm",
];

/** A stretch of the alphabet, the digits or the keyboard, forwards or backwards. */
function isRow(text: string): boolean {
  const backwards = [...text].reverse().join("");
  return rows.some((row) => row.includes(text) || row.includes(backwards));
}
