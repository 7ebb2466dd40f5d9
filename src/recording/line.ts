import { hash } from 'node:crypto'

/** What stands for the previous hash in front of the first line. */
export const GENESIS_HASH: string = '0'.repeat(64)

/** `,"hash":"` + 64 hex digits + `"}`. */
export const LINE_SUFFIX_LENGTH = 75

/** Stands between a line's hash and the next line. */
export const LINE_END = '"}\n'

/** How much of what stands before a line is hashed with it: the previous hash and the end of its line. */
export const LINK_LENGTH: number = GENESIS_HASH.length + LINE_END.length

/** SHA-256 in lower-case hex. The one-shot function takes about half the time of a hash object. */
export function sha256Hex(data: string | Uint8Array): string {
  return hash('sha256', data)
}

/**
 * The hash of a line: SHA-256 over the bytes of the file from the first hex digit of the previous line's hash up to this
 * line's `,"hash":"`. In front of a first line stand 64 zeros for a hash, and the end of a line behind them.
 *
 * @param body the line from `{` to just before `,"hash":"`; ASCII
 */
export function lineHash(previousHash: string, body: string): string {
  return sha256Hex(previousHash + LINE_END + body)
}

/** The line as stored, with its newline. */
export function completeLine(body: string, hash: string): string {
  return `${body},"hash":"${hash}${LINE_END}`
}

const NOT_ASCII = /[^\x20-\x7e]/
const NOT_ASCII_GLOBAL = /[^\x20-\x7e]/g
const NOT_PLAIN = /[^\x20-\x7e]|["\\]/

/**
 * JSON in printable ASCII only: what would be a control, bidi or any other character outside it is written
 * as `\uXXXX`. So a recording has one byte per character, survives every transport, and cannot act on the terminal it is shown on.
 */
export function asciiJson(value: unknown): string {
  if (typeof value === 'string' && !NOT_PLAIN.test(value)) return `"${value}"`
  const json = JSON.stringify(value)
  if (!NOT_ASCII.test(json)) return json
  return json.replace(NOT_ASCII_GLOBAL, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
