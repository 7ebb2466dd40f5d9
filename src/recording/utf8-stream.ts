import { isUtf8 } from 'node:buffer'

const REPLACEMENT = '\ufffd'

/**
 * Turns bytes that come in pieces into text. A character that is cut stays behind until its rest comes; what is not UTF-8 becomes U+FFFD, and
 * is counted.
 */
export class Utf8Stream {
  #kept: Buffer = Buffer.alloc(0)
  /** How often U+FFFD was put in the place of bytes that are not UTF-8. */
  replacements = 0

  push(chunk: Uint8Array): string {
    const bytes = this.#kept.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#kept, chunk])
    const end = bytes.length - incompleteTail(bytes)
    this.#kept = bytes.subarray(end)
    return this.#decode(bytes.subarray(0, end))
  }

  /** What is left when nothing more comes. */
  flush(): string {
    const rest = this.#kept
    this.#kept = Buffer.alloc(0)
    return this.#decode(rest)
  }

  #decode(bytes: Buffer): string {
    const text = bytes.toString('utf8')
    if (!isUtf8(bytes)) this.replacements += count(text, REPLACEMENT) - count(bytes.toString('latin1'), '\xef\xbf\xbd')
    return text
  }
}

/** Bytes at the end that may be the beginning of a character: at most three. */
function incompleteTail(bytes: Buffer): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length] as number
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return length < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? length : 0
  }
  return 0
}

function count(text: string, part: string): number {
  let found = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) found++
  return found
}
