/** Why a text is not judged. Ends the walk; what was found until then is kept for people. */
export class ShellProblem extends Error {}

/** Characters that some shell, locale or terminal takes for a blank or for nothing, where bash sees a letter. */
// biome-ignore lint: control characters are what this looks for
const ODD =
  /[\u0001-\u0008\u000b-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff]/

export function hasOddCharacter(text: string): boolean {
  return ODD.test(text)
}

/**
 * Shells take a single quote in arithmetic, in subscripts and in expansions inside of double quotes as it is, or as a
 * quote, and expand what is behind it; the parser is of another opinion.
 */
export function refuseQuote(text: string): void {
  if (text.includes("'")) throw new ShellProblem('a quote where shells do not agree on quotes')
}

/** Whether a value has a substitution in it as text, which arithmetic runs where it is in a subscript. */
export function hasSubstitution(value: string): boolean {
  return /\$\(|`/.test(value)
}

/** Whether something in the text cannot be sent, or stands for bytes that were something else. */
export function isMisread(text: string): boolean {
  return /[\ufffd\p{Cs}]/u.test(text)
}
