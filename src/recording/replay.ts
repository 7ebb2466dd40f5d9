import { ChainVerifier, parseObject } from './chain-verifier.js'
import { LineSplitter } from './lines.js'
import {
  MAX_LINE_BYTES,
  toVerifyResult,
  type RecordingSource,
  type VerifyOptions,
  type VerifyResult,
} from './verify.js'

/** One line of a recording, in the order of the file. */
export interface ReplayEntry {
  readonly line: number
  /** The line's members, or undefined when it is not JSON. Raw: never print it unescaped. */
  readonly event: Readonly<Record<string, unknown>> | undefined
  /** Exactly as stored, without the newline. Printable ASCII unless somebody changed it. */
  readonly raw: string
  /** False from the first bad line on. */
  readonly isVerified: boolean
}

/**
 * Reads a recording event by event and verifies it on the way. Lines behind the first bad one are still given, marked.
 *
 * @returns the result of the verification, when all is read
 * @throws SallyportError `limit_exceeded` when a line is longer than `maxLineBytes`
 */
export async function* replayRecording(
  source: RecordingSource,
  options: VerifyOptions = {},
): AsyncGenerator<ReplayEntry, VerifyResult, undefined> {
  const verifier = new ChainVerifier()
  let entries: ReplayEntry[] = []
  let line = 0
  const read = (bytes: Buffer): void => {
    line++
    entries.push({
      line,
      event: parseObject(bytes),
      raw: bytes.toString('latin1'),
      isVerified: verifier.problem === undefined,
    })
  }
  const splitter = new LineSplitter(options.maxLineBytes ?? MAX_LINE_BYTES, (bytes) => {
    verifier.push(bytes)
    read(bytes)
  })
  for await (const chunk of source) {
    splitter.push(chunk)
    const ready = entries
    entries = []
    yield* ready
  }
  const rest = splitter.rest()
  verifier.finish(rest)
  if (rest.length > 0) {
    read(rest)
    yield* entries
  }
  return toVerifyResult(verifier, options)
}
