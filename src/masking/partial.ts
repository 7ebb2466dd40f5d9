import type { ByteWriter } from '../core/index.js'
import { ALNUM, BYTE_CLASS, digitLength } from './detectors/bytes.js'

const STAR = 0x2a
const LETTER_X = 0x58

/** How much of a value stays. */
export interface Kept {
  readonly first: number
  readonly last: number
}

/**
 * Appends `bytes[start, end)` with every letter, digit and non-ASCII character replaced, but for the first and last
 * few of them; punctuation and blanks stay. When what is kept would be all of it, nothing is kept.
 *
 * @param digitMask what stands for a digit: `X` where the value is a number, so that the result reads as one number still
 */
export function appendPartial(
  bytes: Uint8Array,
  start: number,
  end: number,
  kept: Kept,
  target: ByteWriter,
  digitMask: 'X' | '*' = '*',
): void {
  let total = 0
  for (let i = start; i < end; i++) if (startsCharacter(bytes[i] as number)) total++
  const isAllKept = kept.first + kept.last >= total
  const first = isAllKept ? 0 : kept.first
  const lastFrom = isAllKept ? total : total - kept.last
  target.reserve(end - start)
  let index = 0
  for (let i = start; i < end; ) {
    const byte = bytes[i] as number
    const length = characterLength(bytes, i, end)
    if (byte < 0x80 && ((BYTE_CLASS[byte] as number) & ALNUM) === 0) {
      target.u8(byte)
    } else {
      if (index < first || index >= lastFrom) target.append(bytes, i, i + length)
      else target.u8(digitMask === 'X' && digitLength(bytes, i, end) > 0 ? LETTER_X : STAR)
      index++
    }
    i += length
  }
}

/** Letters, digits and the first byte of every non-ASCII character. */
function startsCharacter(byte: number): boolean {
  return byte < 0x80 ? ((BYTE_CLASS[byte] as number) & ALNUM) !== 0 : byte >= 0xc0
}

function characterLength(bytes: Uint8Array, at: number, end: number): number {
  if ((bytes[at] as number) < 0x80) return 1
  let next = at + 1
  while (next < end && ((bytes[next] as number) & 0xc0) === 0x80) next++
  return next - at
}
