import { isUtf8 } from 'node:buffer'

/**
 * Whether bytes that begin outside of any sequence or character hold no control sequence in any form: no ESC, no 8-bit
 * control. False also where that cannot be told quickly: invalid UTF-8, a character cut at the end, U+0080 to U+00BF.
 */
export function hasNoSequences(bytes: Uint8Array): boolean {
  return !bytes.includes(0x1b) && !bytes.includes(0xc2) && isUtf8(bytes)
}
