// Everything that can move a cursor, reverse reading order, or take part in a text without being seen:
// control (Cc), format (Cf: bidi controls, zero-width, tags), surrogate (Cs), private use (Co), unassigned (Cn),
// line and paragraph separators (Zl, Zp), spaces that pass for others (Zs but U+0020), blank letters and variation selectors.
const HIDDEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu

/**
 * Makes text safe to show to a person on a terminal, in a log or in a form: whatever could act on the
 * terminal, hide or reorder what is read is replaced by its code point, such as `\u{202e}`. Newlines too.
 *
 * The result is for reading only: a backslash in the input stays as it is, so it cannot be turned back.
 *
 * @example printableText('a\u001b[2Jb') // 'a\\u{1b}[2Jb'
 */
export function printableText(text: string): string {
  return text.replace(HIDDEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The same for text of several lines: `\n` ends a line, everything else hidden is shown, tabs become a space. */
export function printableLines(text: string): string[] {
  return text.split('\n').map((line) => printableText(line.replaceAll('\t', ' ')))
}
