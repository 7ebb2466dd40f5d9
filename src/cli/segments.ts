import { linkProblem, replayRecording, type ReplayEntry, type VerifyResult } from '../recording/index.js'
import type { Io } from './command.js'
import { openInput } from './input.js'

export interface Checked {
  readonly file: string
  readonly result: VerifyResult
}

/** Puts the segments of each session in order and adds what is wrong between them. */
export function linkSegments(checked: readonly Checked[]): Checked[] {
  const sorted = [...checked].sort(
    (left, right) =>
      compare(left.result.sessionId ?? '', right.result.sessionId ?? '') ||
      (left.result.segment ?? 0) - (right.result.segment ?? 0),
  )
  return sorted.map((each, index) => {
    const { file, result } = each
    if (!result.ok || result.segment === undefined) return each
    const before = sorted[index - 1]?.result
    const after = sorted[index + 1]?.result
    const previous = before?.sessionId === result.sessionId ? before : undefined
    const problem = linkProblem(previous, result, after?.sessionId !== result.sessionId)
    return problem === undefined ? each : { file, result: { ...result, ok: false, problem } }
  })
}

/**
 * The lines of several segments of one session, one after the other. Give them in order. Ends with the first one that is not
 * good, and answers with its result.
 */
export async function* replaySegments(
  files: readonly string[],
  io: Io,
): AsyncGenerator<ReplayEntry, VerifyResult, undefined> {
  let before: VerifyResult | undefined
  for (const [index, file] of files.entries()) {
    const result = yield* replayRecording(openInput(file, io))
    // One file by itself may be any part of its session.
    const problem =
      result.problem ?? (files.length === 1 ? undefined : linkProblem(before, result, index === files.length - 1))
    if (problem !== undefined) return { ...result, ok: false, problem }
    before = result
  }
  if (before === undefined) throw new TypeError('expected at least one file')
  return before
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
