import type { Connection, Denial, Obligations, Relation, Side } from '../core/index.js'
import type { Chunking } from './chunkings.js'
import { ConnectionHarness, type HarnessAnswers } from './connection-harness.js'

/** What went into a connection while it did real work: enough to do it again, cut differently. */
export interface Transcript {
  readonly received: { readonly from: Side; readonly bytes: Buffer }[]
  readonly answers: {
    challenge: HarnessAnswers['challenge'] | undefined
    admission: HarnessAnswers['admission'] | undefined
    credentials: HarnessAnswers['credentials'] | undefined
  }
  readonly verdicts: Map<number, Denial | Obligations>
  /** What a client was told while its command waited. */
  readonly informed: Map<number, string[]>
  readonly relations: (readonly Relation[])[]
  /** What it wrote. */
  readonly written: Record<Side, Buffer[]>
}

/** A connection that works as the given one does, and what goes through it. */
export function recordTranscript(connection: Connection): {
  readonly connection: Connection
  readonly transcript: Transcript
} {
  const transcript: Transcript = {
    received: [],
    answers: { challenge: undefined, admission: undefined, credentials: undefined },
    verdicts: new Map(),
    informed: new Map(),
    relations: [],
    written: { downstream: [], upstream: [] },
  }
  const { answers } = transcript
  const recording: Connection = {
    receive(from, chunk, isLent) {
      transcript.received.push({ from, bytes: Buffer.from(chunk) })
      connection.receive(from, chunk, isLent)
    },
    end: (from) => connection.end(from),
    next() {
      const event = connection.next()
      if (event?.type === 'write') transcript.written[event.to].push(Buffer.from(event.bytes))
      return event
    },
    permit(commandId, obligations) {
      transcript.verdicts.set(commandId, obligations ?? {})
      connection.permit(commandId, obligations)
    },
    refuse(commandId, denial) {
      transcript.verdicts.set(commandId, denial)
      connection.refuse(commandId, denial)
    },
    inform(commandId, text) {
      transcript.informed.set(commandId, [...(transcript.informed.get(commandId) ?? []), text])
      connection.inform(commandId, text)
    },
    wantsRead: (from) => connection.wantsRead(from),
    challenge(challenge) {
      answers.challenge = () => challenge
      connection.challenge(challenge)
    },
    authenticated(admission) {
      answers.admission = admission
      connection.authenticated(admission)
    },
    reject: (denial) => connection.reject(denial),
    upstreamReady(credentials) {
      answers.credentials = credentials
      connection.upstreamReady(credentials)
    },
    upstreamFailed: (error) => connection.upstreamFailed(error),
    tlsStarted: (side, info) => connection.tlsStarted(side, info),
    resolved(relations) {
      transcript.relations.push(relations)
      connection.resolved(relations)
    },
    shutdown: (denial) => connection.shutdown(denial),
    cancelTarget: () => connection.cancelTarget?.(),
    pauseCommands: (isPaused) => connection.pauseCommands?.(isPaused),
  }
  return { connection: recording, transcript }
}

/** Plays a transcript into a fresh connection, cut anew, and returns what that wrote. */
export function replayTranscript(fresh: Connection, transcript: Transcript, chunking: Chunking): Record<Side, Buffer> {
  const relations = [...transcript.relations]
  const { challenge, admission, credentials } = transcript.answers
  const harness = new ConnectionHarness(fresh, {
    ...(challenge === undefined ? {} : { challenge }),
    ...(admission === undefined ? {} : { admission }),
    ...(credentials === undefined ? {} : { credentials }),
    relations: () => relations.shift() ?? [],
    judge: (command) => {
      for (const text of transcript.informed.get(command.id) ?? []) fresh.inform(command.id, text)
      return transcript.verdicts.get(command.id)
    },
  })
  for (const { from, bytes } of transcript.received) harness.receive(from, bytes, chunking)
  return { downstream: harness.written('downstream'), upstream: harness.written('upstream') }
}
