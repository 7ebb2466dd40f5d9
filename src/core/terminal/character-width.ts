const ZERO = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff\u200b]$/u
const WIDE_EMOJI = /^\p{Emoji_Presentation}$/u

/** First and last code points of ranges that take two cells (East Asian Width W and F). */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18aff],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd],
]

/** Cells of a terminal that a character takes: 0, 1 or 2. A guess like any other: terminals differ on some. */
export function characterWidth(codePoint: number): 0 | 1 | 2 {
  if (codePoint < 0x300) return 1
  const character = String.fromCodePoint(codePoint)
  if (ZERO.test(character)) return 0
  for (const [first, last] of WIDE) if (codePoint >= first && codePoint <= last) return 2
  return WIDE_EMOJI.test(character) ? 2 : 1
}
