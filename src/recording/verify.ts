import { SallyportError } from '../core/index.js'
import { ChainVerifier, type Ending, type RecordingProblem } from './chain-verifier.js'
import { LineSplitter } from './lines.js'

/** Bytes of one segment, in pieces of any size. */
export type RecordingSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

export interface VerifyOptions {
  /** Fails when the recording is of another session: a file put in another's place. */
  readonly sessionId?: string
  /** Fails when the last line has another hash than was noted elsewhere: the only thing that shows a file rewritten as a whole. */
  readonly head?: string
  /** Accepts a recording without an end: one that is still being written. Default false. */
  readonly allowUnclosed?: boolean
  /** Longest line accepted, which is also the most that is kept in memory. Default 64 MiB: four times the longest command by default. */
  readonly maxLineBytes?: number
}

export interface VerifyResult {
  readonly ok: boolean
  /** How many lines are good, from the first on. */
  readonly lines: number
  readonly goodBytes: number
  readonly sessionId?: string
  /** Which segment of its session this is, counted from 1. */
  readonly segment?: number
  /** The hash of the last line of the segment before, as the header says it. */
  readonly previousHash?: string
  /** Whether an end marker is there. */
  readonly closed: boolean
  /** `end`: the session ended; `continued`: the next segment goes on; `seal`: closed after a crash. */
  readonly ending?: Ending
  /** The hash of the last good line. */
  readonly head: string
  readonly problem?: RecordingProblem
  /** Not a problem of the chain: where the time first went backwards, and by how much. */
  readonly clockSetBack?: { readonly line: number; readonly byMs: number }
}

export const MAX_LINE_BYTES = 67_108_864

/**
 * Checks one segment: form, order and hash of every line, and that an end marker closes it. Streams; the first bad line is named.
 *
 * What it cannot show: a recording replaced as a whole by one with fresh hashes. Keep `head` elsewhere and pass it.
 *
 * @example
 * const result = await verifyRecording(createReadStream('session-a1.000001.jsonl'))
 * if (!result.ok) console.error(result.problem?.line, result.problem?.message)
 */
export async function verifyRecording(source: RecordingSource, options: VerifyOptions = {}): Promise<VerifyResult> {
  const verifier = new ChainVerifier()
  await feed(source, verifier, options)
  return toVerifyResult(verifier, options)
}

/** Runs the source through the verifier and answers with what came after the last newline. `onLine` sees every line, good or bad. */
export async function feed(
  source: RecordingSource,
  verifier: ChainVerifier,
  options: VerifyOptions,
  onLine?: (line: Buffer) => void,
): Promise<Buffer> {
  const splitter = new LineSplitter(options.maxLineBytes ?? MAX_LINE_BYTES, (line) => {
    verifier.push(line)
    onLine?.(line)
  })
  try {
    for await (const chunk of source) {
      splitter.push(chunk)
      // Nothing behind the first bad line can make it good again.
      if (verifier.problem !== undefined && onLine === undefined) return Buffer.alloc(0)
    }
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== 'limit_exceeded') throw error
    verifier.problem ??= { line: verifier.lines + 1, kind: 'oversized', message: error.message }
    return Buffer.alloc(0)
  }
  const rest = splitter.rest()
  verifier.finish(rest)
  return rest
}

export function toVerifyResult(verifier: ChainVerifier, options: VerifyOptions): VerifyResult {
  const { ending, sessionId, segment, previousHash, clockSetBack } = verifier
  const isStillWritten = verifier.problem?.kind === 'unclosed' && options.allowUnclosed === true
  const problem = (isStillWritten ? undefined : verifier.problem) ?? expectationProblem(verifier, options)
  return {
    ok: problem === undefined,
    lines: verifier.lines,
    goodBytes: verifier.goodBytes,
    closed: ending !== undefined,
    head: verifier.head,
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(segment === undefined ? {} : { segment }),
    ...(previousHash === undefined ? {} : { previousHash }),
    ...(ending === undefined ? {} : { ending }),
    ...(problem === undefined ? {} : { problem }),
    ...(clockSetBack === undefined ? {} : { clockSetBack }),
  }
}

function expectationProblem(verifier: ChainVerifier, options: VerifyOptions): RecordingProblem | undefined {
  if (options.sessionId !== undefined && verifier.sessionId !== options.sessionId) {
    return {
      line: 1,
      kind: 'session',
      message: `expected session \`${options.sessionId}\`, got \`${verifier.sessionId ?? ''}\``,
    }
  }
  if (options.head !== undefined && verifier.head !== options.head) {
    return {
      line: verifier.lines,
      kind: 'head',
      message: `expected the last hash to be \`${options.head}\`, got \`${verifier.head}\``,
    }
  }
  return undefined
}
