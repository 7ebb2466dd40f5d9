import type { RecordingProblem } from './chain-verifier.js'
import { verifyRecording, type RecordingSource, type VerifyOptions, type VerifyResult } from './verify.js'

export interface SegmentsResult {
  readonly ok: boolean
  /** One per source, in the order given, up to the first bad one. */
  readonly segments: readonly VerifyResult[]
  readonly sessionId?: string
  /** The hash of the session's last line. */
  readonly head?: string
  /** The first problem, and in which of the sources (counted from 0) it is. */
  readonly problem?: RecordingProblem & { readonly source: number }
}

/**
 * Checks all segments of one session, given in order: each by itself, that each goes on where the one before
 * it stopped, that none is missing at the front, in between or at the end.
 */
export async function verifySegments(
  sources: readonly RecordingSource[],
  options: VerifyOptions = {},
): Promise<SegmentsResult> {
  const segments: VerifyResult[] = []
  const { head, allowUnclosed, ...each } = options
  for (const [index, source] of sources.entries()) {
    const isLast = index === sources.length - 1
    const result = await verifyRecording(source, {
      ...each,
      ...(isLast && head !== undefined ? { head } : {}),
      ...(isLast && allowUnclosed !== undefined ? { allowUnclosed } : {}),
    })
    const problem = result.problem ?? linkProblem(segments.at(-1), result, isLast)
    segments.push(result)
    if (problem !== undefined) return { ok: false, segments, problem: { ...problem, source: index } }
  }
  const last = segments.at(-1)
  if (last === undefined) {
    return { ok: false, segments, problem: { source: 0, line: 0, kind: 'empty', message: 'there is no segment' } }
  }
  return {
    ok: true,
    segments,
    head: last.head,
    ...(last.sessionId === undefined ? {} : { sessionId: last.sessionId }),
  }
}

/** What is wrong with how this segment follows the one before it. */
export function linkProblem(
  before: VerifyResult | undefined,
  segment: VerifyResult,
  isLast: boolean,
): RecordingProblem | undefined {
  const bad = (line: number, message: string): RecordingProblem => ({ line, kind: 'segment', message })
  const expected = (before?.segment ?? 0) + 1
  // A segment whose header never reached the disk says nothing about itself; it can only be the last one, sealed.
  const isHeadless = segment.segment === undefined && segment.ending === 'seal'
  if (!isHeadless && segment.segment !== expected) {
    return bad(1, `expected segment ${expected} of the session, got segment ${segment.segment ?? 'unknown'}`)
  }
  if (before !== undefined && before.ending !== 'continued') {
    return bad(1, `the segment before ended the session (\`${before.ending ?? 'unclosed'}\`)`)
  }
  if (before !== undefined && !isHeadless) {
    if (segment.sessionId !== before.sessionId) {
      return bad(1, `expected session \`${before.sessionId ?? ''}\`, got \`${segment.sessionId ?? ''}\``)
    }
    if (segment.previousHash !== before.head) return bad(1, 'does not go on where the segment before it stopped')
  }
  if (isLast && segment.ending === 'continued') {
    return bad(segment.lines, `segment ${expected + 1} of the session is missing`)
  }
  return undefined
}
