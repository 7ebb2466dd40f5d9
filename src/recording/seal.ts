import { SallyportError } from '../core/index.js'
import { ChainVerifier } from './chain-verifier.js'
import { completeLine, lineHash, sha256Hex } from './line.js'
import type { RecordStore } from './store.js'
import { feed } from './verify.js'

/** So much of a torn tail is kept in the seal. One that is longer is told by length and hash. 16 KiB: longer than nearly every line. */
export const MAX_KEPT_TORN_BYTES = 16_384

export interface SealResult {
  /** False: the segment was closed already and was left alone. */
  readonly sealed: boolean
  /** How many bytes of an incomplete last line were moved into the seal. */
  readonly tornBytes: number
  readonly lines: number
  readonly head: string
}

/**
 * Closes a segment that a crash left open: appends a `seal` line to the last good one. An incomplete last line is
 * moved into it. Only for segments that nobody writes to any more.
 *
 * @throws SallyportError `recording_invalid` when something else is wrong with it: that is evidence, and is not touched
 */
export async function sealRecording(store: RecordStore, name: string, nowUnixMs: number): Promise<SealResult> {
  const verifier = new ChainVerifier()
  const torn = await feed(store.read(name), verifier, {})
  const { problem, lines, head } = verifier
  if (problem === undefined) return { sealed: false, tornBytes: 0, lines, head }
  if (problem.kind !== 'unclosed' && problem.kind !== 'torn-tail' && problem.kind !== 'empty') {
    throw new SallyportError('recording_invalid', `line ${problem.line} of \`${name}\`: ${problem.message}`)
  }
  const body = `{"seq":${lines + 1},"type":"seal","at":${Math.trunc(nowUnixMs)},${tornJson(torn)}`
  const hash = lineHash(head, body)
  await store.replaceTail(name, verifier.goodBytes, Buffer.from(completeLine(body, hash), 'latin1'))
  return { sealed: true, tornBytes: torn.length, lines: lines + 1, head: hash }
}

function tornJson(torn: Buffer): string {
  if (torn.length === 0) return '"tornBytes":0'
  const kept = torn.subarray(0, MAX_KEPT_TORN_BYTES)
  return `"tornBytes":${torn.length},"tornSha256":"${sha256Hex(torn)}","torn":"${kept.toString('base64')}"`
}

const CLOSING_LINE = /^\{"seq":\d{1,16},"type":"(?:end|continued|seal)"/

/** More than the longest closing line, so that this much of a segment's end shows whether it is closed. */
export const CLOSING_TAIL_BYTES = 65_536

/** Whether the last bytes of a segment look closed. Tells what to seal after a restart, without reading everything; proves nothing. */
export function looksClosed(tail: Uint8Array): boolean {
  const bytes = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength)
  if (bytes[bytes.length - 1] !== 0x0a) return false
  const start = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1
  return CLOSING_LINE.test(bytes.toString('latin1', start, Math.min(bytes.length, start + 64)))
}
