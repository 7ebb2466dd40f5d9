import { SallyportError, type Clock, type CommandAnswer } from '../core/index.js'
import { commitmentKeyOf } from './commitment.js'
import type { EventEncoder } from './event-json.js'
import { headerJson } from './header-json.js'
import { GENESIS_HASH, asciiJson } from './line.js'
import { LineChain } from './line-chain.js'
import type { Durability, SessionRecorder } from './session-recorder.js'
import { segmentName } from './segment-name.js'
import { keptEvent, sizeOfStreamEvent } from './stream-events.js'
import type { RecordStore, SegmentWriter } from './store.js'
import type { CommandEvent, RecordingEvent, RecordingHeader } from './types.js'

/** About what a line needs besides the parts whose length varies much: only for deciding when to write. */
const LINE_OVERHEAD_BYTES = 400

/** No single write is much longer, however much has gathered. */
const MAX_WRITE_BYTES = 1_048_576

/**
 * So many commands with their answers are turned into lines at once, as soon as they are there: enough for the code to be
 * worth fetching, few enough that nobody waits for it, and what is young is collected cheaply.
 */
const ENCODE_AT_ONCE = 16

/** What a session's recording shares with the others of its recorder. */
export interface SessionSurroundings {
  readonly store: RecordStore
  readonly clock: Clock
  readonly durability: Durability
  readonly encoder: EventEncoder
  readonly commitmentKey: Uint8Array | undefined
  readonly batchBytes: number
  readonly maxSegmentBytes: number
  readonly maxSegmentMs: number
  readonly maxPendingBytes: number
  /** Has `flushNow` called soon. */
  flushLater(session: Session): void
}

interface Waiter {
  resolve(): void
  reject(failure: SallyportError): void
}

/**
 * Theory of operation. Appended events wait as objects in `#events` until commands have their answers, a few at a time, and
 * become chained lines in memory (`#encodeAnswered`). One run at a time (`#run`) turns what is left into lines as well, hands
 * them to the segment in one write, syncs if anybody waits, and looks again. Who asks for `flushed` during a run is served by
 * the next round, so waiters share syncs (group commit). During a run only it touches the chain.
 */
export class Session implements SessionRecorder {
  readonly #header: RecordingHeader
  readonly #around: SessionSurroundings
  readonly #commitmentKey: Uint8Array | undefined

  #events: RecordingEvent[] = []
  /** The answer that joined the command at the same index, and when. */
  #answers: (CommandAnswer | undefined)[] = []
  #answeredAt: number[] = []
  /** Where the search for the next answer's command begins: answers come in the order of their commands. */
  #answerCursor = 0
  /** Answers that joined their commands and wait with them. */
  #answeredCount = 0
  #gatheredBytes = 0
  #inFlightBytes = 0
  #isDirty = false
  #isForced = false
  #isRunning = false
  /** Everything written so far survives a power cut. */
  #isSynced = false

  #waiters: Waiter[] = []
  #served: Waiter[] = []
  #closing: { readonly reason: string; readonly done: Promise<void> } | undefined
  #failure: SallyportError | undefined
  #listeners: ((failure: SallyportError) => void)[] = []

  #writer: SegmentWriter | undefined
  #segmentIndex = 0
  #segmentBytes = 0
  #segmentStartedAtUnixMs = 0
  readonly #chain = new LineChain()
  #head: string = GENESIS_HASH
  readonly #totals = { commands: 0, refused: 0, answers: 0, outputBytes: 0 }

  constructor(header: RecordingHeader, around: SessionSurroundings) {
    this.#header = header
    this.#around = around
    this.#commitmentKey =
      around.commitmentKey === undefined ? undefined : commitmentKeyOf(header.sessionId, around.commitmentKey)
    this.flushNow()
  }

  get sessionId(): string {
    return this.#header.sessionId
  }

  get durability(): Durability {
    return this.#around.durability
  }

  get failure(): SallyportError | undefined {
    return this.#failure
  }

  get pendingBytes(): number {
    return this.#gatheredBytes + this.#inFlightBytes
  }

  get head(): string {
    return this.#head
  }

  command(event: CommandEvent): void {
    this.#totals.commands++
    if (!event.permitted) this.#totals.refused++
    this.#gather(event, LINE_OVERHEAD_BYTES + (event.sizeHint ?? sizeOf(event)))
  }

  answer(commandId: number, answer: CommandAnswer, atUnixMs: number): void {
    this.#totals.answers++
    if (this.#closing === undefined) {
      const events = this.#events
      for (let i = this.#answerCursor; i < events.length; i++) {
        const event = events[i]
        if (event === undefined || event.type !== 'command') continue
        if (event.id > commandId) break
        this.#answerCursor = i + 1
        if (event.id !== commandId) continue
        this.#answers[i] = answer
        this.#answeredAt[i] = atUnixMs
        if (++this.#answeredCount >= ENCODE_AT_ONCE) this.#encodeAnswered()
        return
      }
    }
    this.#gather({ type: 'answer', atUnixMs, commandId, answer }, LINE_OVERHEAD_BYTES)
  }

  append(event: RecordingEvent): void {
    switch (event.type) {
      case 'command':
        this.command(event)
        return
      case 'answer':
        this.answer(event.commandId, event.answer, event.atUnixMs)
        return
      case 'output':
        this.#totals.outputBytes += event.bytes.length
        // The caller's buffer may be reused before this is written.
        this.#gather({ ...event, bytes: Buffer.from(event.bytes) }, LINE_OVERHEAD_BYTES + event.bytes.length * 2)
        return
      case 'hold':
        this.#gather(event, LINE_OVERHEAD_BYTES + (event.text?.length ?? 0))
        return
      case 'approval':
      case 'note':
      case 'alert':
        this.#gather(event, LINE_OVERHEAD_BYTES)
        return
      case 'resize':
      case 'input':
      case 'detected':
      case 'transfer':
      case 'content':
        this.#gather(keptEvent(event), LINE_OVERHEAD_BYTES + sizeOfStreamEvent(event))
        return
      default:
        event satisfies never
    }
  }

  flushed(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined) return this.#closing.done
    if (this.#isSynced && !this.#isRunning && this.#events.length === 0 && this.#chain.bytes === 0) {
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#start()
    })
  }

  close(reason: string): Promise<void> {
    if (this.#closing !== undefined) return this.#closing.done
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const done = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }))
    this.#closing = { reason, done }
    this.#start()
    return done
  }

  onFailure(listener: (failure: SallyportError) => void): void {
    if (this.#failure !== undefined) listener(this.#failure)
    else this.#listeners.push(listener)
  }

  /** Writes what has gathered, without waiting for more. */
  flushNow(): void {
    this.#isDirty = false
    // A closing session is being written already, a closed one has nothing left.
    if (this.#closing !== undefined) return
    this.#isForced = true
    this.#start()
  }

  #gather(event: RecordingEvent, size: number): void {
    if (this.#closing !== undefined) {
      throw new SallyportError('misuse', `the recording of session \`${this.sessionId}\` is closed`)
    }
    // Not silent: listeners were told, and every wait rejects.
    if (this.#failure !== undefined) return
    // Fails closed: a store that cannot keep up must turn neither into memory without end nor into gaps.
    if (this.pendingBytes > 0 && this.pendingBytes + size > this.#around.maxPendingBytes) {
      const limit = this.#around.maxPendingBytes
      this.#fail(new SallyportError('recorder_unavailable', `more than ${limit} bytes wait to be recorded`))
      return
    }
    this.#events.push(event)
    this.#answers.push(undefined)
    this.#answeredAt.push(0)
    this.#gatheredBytes += size
    if (this.#gatheredBytes >= this.#around.batchBytes) this.#start()
    else if (!this.#isDirty) this.#touch()
  }

  #touch(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#around.flushLater(this)
  }

  #start(): void {
    if (this.#isRunning || this.#failure !== undefined) return
    this.#isRunning = true
    void this.#run()
  }

  async #run(): Promise<void> {
    try {
      while (this.#failure === undefined && this.#hasReason()) await this.#round()
    } catch (error) {
      this.#fail(error)
    }
    this.#isRunning = false
    if (this.#failure !== undefined) await this.#abandon()
    else if (this.#events.length > 0 || this.#chain.bytes > 0) this.#touch()
  }

  /** Whether there is a reason to write now rather than later. */
  #hasReason(): boolean {
    return this.#waiters.length > 0 || this.#isForced || this.#gatheredBytes >= this.#around.batchBytes
  }

  async #round(): Promise<void> {
    const events = this.#events
    const answers = this.#answers
    const answeredAt = this.#answeredAt
    const closing = this.#closing
    this.#served = this.#waiters
    this.#waiters = []
    this.#events = []
    this.#answers = []
    this.#answeredAt = []
    this.#answerCursor = 0
    this.#answeredCount = 0
    this.#inFlightBytes = this.#gatheredBytes
    this.#gatheredBytes = 0
    this.#isForced = false

    if (this.#writer === undefined) await this.#openSegment()
    else if (this.#chain.bytes > 0) await this.#write()
    for (let next = 0; next < events.length; ) next = await this.#writeFrom(events, answers, answeredAt, next)
    this.#inFlightBytes = 0
    if (closing !== undefined) {
      this.#chain.add(`"type":"end","at":${this.#now()},"reason":${asciiJson(closing.reason)},${this.#totalsJson()}`)
      await this.#write()
    }
    if (this.#served.length > 0) await this.#sync()
    if (closing !== undefined) await this.#writer?.close()
    // It may have failed while the store was busy: then these were rejected already.
    for (const waiter of this.#served) waiter.resolve()
    this.#served = []
  }

  /** Writes one run of lines and answers with the index of the first event that is not in it. */
  async #writeFrom(
    events: readonly RecordingEvent[],
    answers: readonly (CommandAnswer | undefined)[],
    answeredAt: readonly number[],
    start: number,
  ): Promise<number> {
    const { maxSegmentBytes, maxSegmentMs } = this.#around
    const isDue =
      this.#chain.sequence > 1 &&
      (this.#segmentBytes >= maxSegmentBytes || this.#now() - this.#segmentStartedAtUnixMs >= maxSegmentMs)
    if (isDue) await this.#rotate()
    const maxBytes = Math.min(MAX_WRITE_BYTES, Math.max(1, maxSegmentBytes - this.#segmentBytes))
    let next = start
    while (next < events.length && this.#chain.bytes < maxBytes) {
      this.#encode(events[next] as RecordingEvent, answers[next], answeredAt[next] as number)
      next++
    }
    await this.#write()
    return next
  }

  /** Turns what waits into lines, up to the first command without an answer. */
  #encodeAnswered(): void {
    this.#answeredCount = 0
    // A run is using the chain, or there is none yet, or the next line may belong to the next segment.
    if (this.#isRunning || this.#writer === undefined) return
    if (this.#segmentBytes + this.#gatheredBytes * 2 >= this.#around.maxSegmentBytes) return
    const events = this.#events
    const answers = this.#answers
    const answeredAt = this.#answeredAt
    let count = 0
    while (count < events.length) {
      const event = events[count] as RecordingEvent
      const answer = answers[count]
      if (event.type === 'command' && answer === undefined && event.permitted) break
      this.#encode(event, answer, answeredAt[count] as number)
      count++
    }
    if (count === 0) return
    this.#events = events.slice(count)
    this.#answers = answers.slice(count)
    this.#answeredAt = answeredAt.slice(count)
    this.#answerCursor = 0
  }

  #encode(event: RecordingEvent, answer: CommandAnswer | undefined, answeredAtUnixMs: number): void {
    const { encoder } = this.#around
    if (event.type !== 'command') {
      this.#chain.add(encoder.other(event))
      return
    }
    const start = this.#chain.mark
    encoder.command(this.#chain.open(), event, answer, answeredAtUnixMs, this.#commitmentKey)
    this.#chain.close(start)
  }

  /** Hands the lines that wait to the segment. */
  async #write(): Promise<void> {
    // It may have failed while the store was busy with the lines before these.
    if (this.#failure !== undefined) throw this.#failure
    const lines = this.#chain.take()
    const head = this.#chain.hash
    this.#segmentBytes += lines.length
    this.#isSynced = false
    await this.#writer?.write(lines)
    this.#head = head
  }

  async #sync(): Promise<void> {
    await this.#writer?.sync()
    this.#isSynced = true
  }

  async #openSegment(previousHash?: string): Promise<void> {
    this.#segmentIndex++
    this.#writer = await this.#around.store.openSegment(segmentName(this.sessionId, this.#segmentIndex))
    this.#segmentStartedAtUnixMs = this.#now()
    this.#segmentBytes = 0
    this.#chain.restart()
    // By the time the file is there the first events may have happened: the session's own beginning comes before them.
    const at = previousHash === undefined ? this.#header.startedAtUnixMs : this.#segmentStartedAtUnixMs
    const position = { index: this.#segmentIndex, ...(previousHash === undefined ? {} : { previousHash }) }
    this.#chain.add(headerJson(this.#header, position, at))
    await this.#write()
  }

  async #rotate(): Promise<void> {
    this.#chain.add(`"type":"continued","at":${this.#now()},"next":${this.#segmentIndex + 1}`)
    await this.#write()
    await this.#sync()
    await this.#writer?.close()
    await this.#openSegment(this.#chain.hash)
  }

  #totalsJson(): string {
    const { commands, refused, answers, outputBytes } = this.#totals
    return `"totals":{"commands":${commands},"refused":${refused},"answers":${answers},"outputBytes":${outputBytes}}`
  }

  #now(): number {
    return Math.trunc(this.#around.clock.nowUnixMs())
  }

  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return
    const failure =
      cause instanceof SallyportError && cause.code === 'recorder_unavailable'
        ? cause
        : new SallyportError(
            'recorder_unavailable',
            `the recording of session \`${this.sessionId}\` cannot be written`,
            { cause },
          )
    this.#failure = failure
    this.#events = []
    this.#answers = []
    this.#answeredAt = []
    this.#gatheredBytes = 0
    const waiters = [...this.#served, ...this.#waiters]
    this.#served = []
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(failure)
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener(failure)
    if (!this.#isRunning) void this.#abandon()
  }

  /** Lets go of the segment. What it holds stays, without an end marker. */
  async #abandon(): Promise<void> {
    const writer = this.#writer
    this.#writer = undefined
    this.#inFlightBytes = 0
    try {
      await writer?.close()
    } catch {
      // It has failed already, and that was said.
    }
  }
}

function sizeOf(event: CommandEvent): number {
  let size = event.text.length
  if (event.parameters !== undefined) for (const value of event.parameters) size += (value?.length ?? 0) + 3
  return size
}
