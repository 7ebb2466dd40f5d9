import type {
  BoundValue,
  ChunkReader,
  CommandAnswer,
  Obligations,
  ResultMasker,
  SqlFacts,
  SqlSessionState,
  SqlStatementFacts,
} from '../../core/index.js'
import { PostgresCommand } from './command.js'
import type { BackendHalf } from './connection-backend.js'
import type { FrontendHalf } from './connection-frontend.js'
import type { Shared } from './connection-shared.js'
import { decodeText } from './encodings.js'
import { int32, LaneMessage, uint16 } from './fast-lane-message.js'
import { Backend, Frontend } from './message-types.js'
import { decodeName } from './names.js'
import { newRun, type Portal, type Statement } from './pipeline.js'

/** Longer pieces are not worth the hurry. Less than any message may have that the lane takes. */
const MAX_BYTES = 8_192
/** As many as a piece has. */
const MAX_MESSAGES = 5

const NOTHING = Buffer.alloc(0)
const NO_NUMBERS: readonly number[] = []
const NO_OBLIGATIONS: Obligations = {}
const NO_VALUES: readonly BoundValue[] = []
const PARSED: CommandAnswer = { outcome: 'completed', tags: [], rows: 0, bytes: 0 }

/** How far a piece is. `free`: there is none, and everything is the business of the halves. */
type Step = 'free' | 'prepare' | 'execute' | 'sent'

/**
 * A short cut for what most traffic consists of: one statement at a time that only reads, sent in one piece as a Query or as
 * [Parse] Bind [Describe] Execute Sync outside of a transaction block, and answered in one piece by rows that no mask concerns.
 *
 * Theory of operation. When a connection at rest gets such a piece, its command is judged as ever and the piece leaves as it
 * came; an answer in exactly the expected order is counted and leaves as it came, too. What the halves would have noted in
 * between stands here in a few fields. Whatever else happens calls `handOver` first, which notes all that the halves would
 * have noted by then, so that they go on from the same byte. So the lane decides nothing by itself: it takes no message that
 * the halves would treat otherwise, and leaves nothing behind that they would not.
 *
 * INVARIANT: nothing is changed before the whole piece was seen to fit.
 */
export class FastLane {
  readonly #shared: Shared
  readonly #frontend: FrontendHalf
  readonly #backend: BackendHalf
  readonly #isOpen: boolean
  #step: Step = 'free'
  /** The last piece was answered, and nothing happened since. */
  #isResting = false

  // The piece at hand.
  readonly #message = new LaneMessage()
  /** Undefined: the piece has no Parse. */
  #parse: PostgresCommand | undefined
  #command: PostgresCommand | undefined
  /** Undefined for a Query. */
  #statement: Statement | undefined
  #obligations: Obligations | undefined
  /** @see Portal.inherited */
  #inherited: Buffer | 'none' | undefined
  #formats = NO_NUMBERS
  #meaning = 0
  #describedAtUnixMs = 0

  // What came last, to know it again.
  #text = ''
  #textFacts: SqlFacts | undefined
  #textState: SqlSessionState | undefined
  #plainFacts: SqlFacts | undefined
  #statementName = ''
  #tag = ''
  /** The body of a RowDescription in whose names `#namesMasker` found nothing. */
  #description: Buffer = NOTHING
  #namesMasker: object | undefined
  /** This statement's rows have nothing to mask where they are described so. */
  #planStatement: SqlStatementFacts | undefined
  #planMasker: ResultMasker | undefined
  #planEpoch = -1
  #planUntilUnixMs = 0

  /** @param isWanted false: everything is left to the halves, for tests that compare */
  constructor(shared: Shared, frontend: FrontendHalf, backend: BackendHalf, isWanted: boolean) {
    const { maxCommandBytes, maxControlBytes, maxPipeline } = shared.limits
    this.#shared = shared
    this.#frontend = frontend
    this.#backend = backend
    this.#isOpen =
      isWanted && maxCommandBytes >= MAX_BYTES && maxControlBytes >= MAX_BYTES && maxPipeline > MAX_MESSAGES
  }

  get isBusy(): boolean {
    return this.#step !== 'free'
  }

  /** A piece has left, and nothing but its answer is awaited. */
  get isSent(): boolean {
    return this.#step === 'sent'
  }

  /** Takes what stands at the readers, if it fits. False: it is for the halves. */
  advance(): boolean {
    const { fromClient, fromTarget } = this.#shared
    switch (this.#step) {
      case 'free':
        if (this.#isResting && fromClient.limit === 0 && fromTarget.limit === 0) return true
        if (this.#isOpen && fromClient.limit > 0 && this.#take()) return true
        break
      case 'sent':
        if (fromTarget.limit === 0 || this.#answer()) return true
        break
      default:
        break
    }
    this.handOver()
    return false
  }

  /** Returns whether the command was the lane's. */
  permit(commandId: number, obligations: Obligations): boolean {
    if (this.#step === 'prepare') {
      if (this.#parse?.id !== commandId) return false
      this.#judgeRun(this.#statement as Statement)
      return true
    }
    if (this.#step !== 'execute' || this.#command?.id !== commandId) return false
    const { masker } = obligations
    const isPlain =
      obligations.maxRows === undefined && obligations.maxBytes === undefined && obligations.recordLevel !== 'full'
    const statement = this.#statement
    this.#inherited =
      masker === undefined || statement === undefined ? undefined : this.#frontend.rememberedOf(statement)
    // Without a description the halves ask for one themselves.
    const isDescribed =
      masker === undefined ||
      statement === undefined ||
      this.#message.hasDescribe ||
      (this.#inherited !== undefined && this.#inherited !== 'none')
    if (!isPlain || !isDescribed) return false
    this.#obligations = obligations
    this.#step = 'sent'
    const shared = this.#shared
    if (this.#message.hasDescribe) {
      this.#meaning = shared.meaning
      this.#describedAtUnixMs = shared.context.clock.nowUnixMs()
    }
    shared.events.push({ type: 'write', to: 'upstream', bytes: shared.fromClient.takeChunk() })
    return true
  }

  /** Notes down what the halves would have noted by now, and leaves the rest to them. */
  handOver(): void {
    const step = this.#step
    this.#isResting = false
    if (step === 'free') return
    this.#step = 'free'
    if (step === 'sent') this.#owe()
    else this.#await(step)
    this.#letGo()
  }

  /** The client's piece. */
  #take(): boolean {
    const shared = this.#shared
    const reader = shared.fromClient
    const { bytes } = reader
    if (reader.limit > MAX_BYTES || !reader.isOneChunk) return false
    const message = this.#message
    if (!message.read(bytes, reader.limit) || !this.#isAtRest()) return false
    const { names, state } = shared
    const { current } = state
    if (!message.isQuery && !message.hasParse) {
      const name = this.#nameOf(bytes)
      const statement = names.statements.get(name)
      if (statement === undefined || statement.state !== current || !this.#isPlain(statement.facts)) return false
      if (message.hasDescribe && !names.hasRoomFor(0, shared.limits.maxNamesBytes)) return false
      this.#judgeRun(statement)
      return true
    }
    const isKnown = this.#textState === current && isSameText(this.#text, bytes, message.textStart, message.textEnd)
    if (!isKnown && !this.#readText(bytes, current)) return false
    const facts = this.#textFacts as SqlFacts
    if (!this.#isPlain(facts)) return false
    const text = this.#text
    if (message.isQuery) {
      this.#command = new PostgresCommand(
        shared.nextId++,
        'Query',
        text,
        facts,
        current,
        state.transaction,
        state.transactionSerial,
      )
      this.#step = 'execute'
      shared.events.push({ type: 'command', command: this.#command })
      return true
    }
    if (message.hasDescribe && !names.hasRoomFor(0, shared.limits.maxNamesBytes)) return false
    this.#statement = {
      text,
      facts,
      parameterTypes: numbersOf(bytes, message.typesAt, message.typeCount, 4),
      state: current,
      segment: shared.segmentsSent,
      description: undefined,
    }
    const command = new PostgresCommand(
      shared.nextId++,
      'Parse',
      text,
      facts,
      current,
      state.transaction,
      state.transactionSerial,
    )
    this.#parse = command
    this.#step = 'prepare'
    shared.events.push({ type: 'command', command })
    return true
  }

  /** Whether everything before this piece is over, and nothing but the piece is there. */
  #isAtRest(): boolean {
    const shared = this.#shared
    return (
      shared.owed.length === 0 &&
      shared.state.transaction === 'idle' &&
      shared.isAtRest &&
      this.#frontend.isAtRest &&
      this.#backend.isAtRest
    )
  }

  /** Whether a command can do nothing but return rows. */
  #isPlain(facts: SqlFacts): boolean {
    if (facts === this.#plainFacts) return true
    if (!isPlainReading(facts)) return false
    this.#plainFacts = facts
    return true
  }

  #readText(bytes: Buffer, state: SqlSessionState): boolean {
    const { textStart, textEnd } = this.#message
    const { admission } = this.#shared
    const text = decodeText(bytes.subarray(textStart, textEnd), state.clientEncoding)
    if (text === undefined || text === '' || admission === undefined) return false
    this.#textFacts = admission.analyzer.analyze(text, state)
    this.#textState = state
    this.#text = text
    return true
  }

  #nameOf(bytes: Buffer): string {
    const { nameStart, nameEnd } = this.#message
    if (!isSameText(this.#statementName, bytes, nameStart, nameEnd)) {
      this.#statementName = decodeName(bytes, nameStart, nameEnd)
    }
    return this.#statementName
  }

  #judgeRun(statement: Statement): void {
    const shared = this.#shared
    const { state } = shared
    this.#statement = statement
    this.#formats = numbersOf(
      shared.fromClient.bytes,
      this.#message.resultFormatsAt,
      this.#message.resultFormatCount,
      2,
    )
    this.#command = new PostgresCommand(
      shared.nextId++,
      'Bind',
      statement.text,
      statement.facts,
      state.current,
      state.transaction,
      state.transactionSerial,
      this.#message.valueCount === 0 ? NO_VALUES : valuesOf(this.#message, shared.fromClient, statement),
    )
    this.#step = 'execute'
    shared.events.push({ type: 'command', command: this.#command })
  }

  /**
   * The target's piece: [ParseComplete] [BindComplete] [RowDescription] DataRow* CommandComplete ReadyForQuery. Returns
   * whether it is that, and nothing in it has to be changed.
   */
  #answer(): boolean {
    const shared = this.#shared
    const reader = shared.fromTarget
    const { bytes, limit } = reader
    const command = this.#command as PostgresCommand
    const isQuery = this.#statement === undefined
    if (!reader.isOneChunk) return false
    let at = 0
    if (this.#parse !== undefined) {
      if (limit < 5 || bytes[0] !== Backend.ParseComplete || int32(bytes, 1) !== 4) return false
      at = 5
    }
    if (!isQuery) {
      if (limit - at < 5 || bytes[at] !== Backend.BindComplete || int32(bytes, at + 1) !== 4) return false
      at += 5
    }
    let descriptionStart = 0
    let descriptionEnd = 0
    if (isQuery || this.#message.hasDescribe) {
      if (limit - at < 5 || bytes[at] !== Backend.RowDescription) return false
      const length = int32(bytes, at + 1)
      if (length < 4 || length > MAX_BYTES || length >= limit - at) return false
      descriptionStart = at + 5
      at += length + 1
      descriptionEnd = at
    }
    const rowsStart = at
    let rows = 0
    while (limit - at >= 5 && bytes[at] === Backend.DataRow) {
      const length = int32(bytes, at + 1)
      if (length < 4 || length >= limit - at) return false
      at += length + 1
      rows++
    }
    const rowsEnd = at
    // A tag is one string and all of its message; ReadyForQuery says that nothing is open.
    if (limit - at < 12 || bytes[at] !== Backend.CommandComplete) return false
    const tagStart = at + 5
    const tagEnd = limit - 7
    if (int32(bytes, at + 1) !== tagEnd - at || bytes[tagEnd] !== 0 || tagEnd - tagStart > MAX_BYTES) return false
    if (!isSameText(this.#tag, bytes, tagStart, tagEnd)) {
      if (bytes.indexOf(0, tagStart) !== tagEnd) return false
      this.#tag = decodeName(bytes, tagStart, tagEnd)
    }
    at = tagEnd + 1
    if (bytes[at] !== Backend.ReadyForQuery || int32(bytes, at + 1) !== 5 || bytes[at + 5] !== 0x49) return false
    if (!this.#passesUnmasked(bytes, descriptionStart, descriptionEnd, isQuery || rows > 0)) return false

    // From here on all of it counts.
    this.#step = 'free'
    this.#isResting = true
    const { names, events } = shared
    if (this.#parse !== undefined) {
      names.statements.set('', this.#statement as Statement)
      events.push({ type: 'answer', commandId: this.#parse.id, answer: PARSED })
    } else if (isQuery) {
      names.statements.delete('')
    }
    if (!isQuery) {
      if (descriptionEnd > 0) names.wasDescribed(descriptionEnd - descriptionStart)
      shared.segmentsSent++
      shared.segmentsAnswered++
    }
    events.push({
      type: 'answer',
      commandId: command.id,
      answer: { outcome: 'completed', tags: [this.#tag], rows, bytes: rowsEnd - rowsStart },
    })
    shared.state.ready('idle')
    shared.catalogTrust = 'all'
    events.push({ type: 'write', to: 'downstream', bytes: reader.takeChunk() })
    this.#letGo()
    return true
  }

  /** Whether neither a column nor the name of one has to be masked. Learns what it is told, for the next time. */
  #passesUnmasked(bytes: Buffer, start: number, end: number, isPlanned: boolean): boolean {
    const shared = this.#shared
    const masker = isPlanned ? this.#obligations?.masker : undefined
    // The columns are as they were told before.
    if (end === 0) return masker === undefined || this.#planUntil(masker, this.#inherited as Buffer, this.#formats) > 0
    const { textMasker } = shared
    const namesMasker = textMasker?.current ?? textMasker
    const isKnown = isSameBytes(this.#description, bytes, start, end)
    if (namesMasker !== undefined && !(isKnown && this.#namesMasker === namesMasker)) {
      const names = bytes.subarray(start + 2, end)
      if (textMasker?.maskText(names) !== names) return false
    }
    if (masker !== undefined) {
      const isPlanKnown =
        isKnown &&
        this.#planStatement === this.#command?.facts.statements[0] &&
        this.#planMasker === masker &&
        this.#planEpoch === shared.plans.epoch &&
        shared.catalogTrust === 'all' &&
        shared.context.clock.nowUnixMs() <= this.#planUntilUnixMs
      if (!isPlanKnown) {
        const until = this.#planUntil(masker, bytes.subarray(start, end), NO_NUMBERS)
        if (until === 0) return false
        this.#planStatement = this.#command?.facts.statements[0]
        this.#planMasker = masker
        this.#planEpoch = shared.plans.epoch
        this.#planUntilUnixMs = until
      }
    }
    if (isKnown && this.#namesMasker === namesMasker) return true
    if (!isKnown) {
      this.#description = Buffer.from(bytes.subarray(start, end))
      if (masker === undefined) this.#planStatement = undefined
    }
    this.#namesMasker = namesMasker
    return true
  }

  /** Until when rows described so are known to have nothing to mask; 0 where that is not known. */
  #planUntil(masker: ResultMasker, description: Buffer, formats: readonly number[]): number {
    const { plans, catalogTrust, context } = this.#shared
    const statement = this.#command?.facts.statements[0]
    return plans.plainUntil({ statement, description, formats, masker, catalogTrust }, context.clock.nowUnixMs())
  }

  /** The client's half waits for the verdict instead: it did not come at once, or is not for the lane. */
  #await(step: 'prepare' | 'execute'): void {
    const frontend = this.#frontend
    const { isQuery, hasParse, frameStart, frameEnd } = this.#message
    const statement = this.#statement as Statement
    if (isQuery) {
      frontend.adopt({
        command: this.#command as PostgresCommand,
        type: Frontend.Query,
        frameBytes: frameEnd,
        name: '',
      })
      return
    }
    if (hasParse) {
      const command = this.#parse as PostgresCommand
      frontend.adopt({ command, type: Frontend.Parse, frameBytes: frameStart, name: '', statement })
      if (step === 'prepare') return
      frontend.permit(command.id, NO_OBLIGATIONS)
    }
    frontend.adopt({
      command: this.#command as PostgresCommand,
      type: Frontend.Bind,
      frameBytes: frameEnd - frameStart,
      name: '',
      statement,
      resultFormats: this.#formats,
    })
  }

  /** What was sent is owed, message by message. */
  #owe(): void {
    const { owed, names, state } = this.#shared
    const shared = this.#shared
    const { id, facts } = this.#command as PostgresCommand
    const run = newRun(id, facts, this.#obligations as Obligations)
    const statement = this.#statement
    if (statement === undefined) {
      const unnamed = { statement: names.statements.get(''), portal: names.portals.get('') }
      owed.push({ kind: 'query', run, unnamed, statement: 0, hasFailed: false })
      return
    }
    if (this.#parse !== undefined) {
      const previous = names.statements.get('')
      owed.push({ kind: 'parse', name: '', statement, previous, commandId: this.#parse.id, isOwn: false })
      names.statements.set('', statement)
    }
    const portal: Portal = {
      text: statement.text,
      facts,
      statement,
      resultFormats: this.#formats,
      state: state.current,
      survivesTransaction: false,
      isBound: false,
      segment: shared.segmentsSent,
      inherited: this.#inherited,
      description: undefined,
      run,
    }
    run.described = portal
    names.portals.set('', portal)
    owed.push({ kind: 'bind', name: '', previous: undefined, portal })
    if (this.#message.hasDescribe) {
      const at = { meaning: this.#meaning, atUnixMs: this.#describedAtUnixMs }
      owed.push({ kind: 'describe', target: portal, at, isOwn: false })
    }
    owed.push({ kind: 'execute', portal, run })
    owed.push({ kind: 'sync', isOwn: false })
    shared.segmentsSent++
  }

  /** Keeps nothing alive that is over. */
  #letGo(): void {
    this.#parse = undefined
    this.#command = undefined
    this.#statement = undefined
    this.#obligations = undefined
    this.#inherited = undefined
  }
}

/** Whether a command can do nothing but return rows: nothing that comes later can mean anything else after it. */
function isPlainReading(facts: SqlFacts): boolean {
  const [statement] = facts.statements
  return (
    statement !== undefined &&
    facts.statements.length === 1 &&
    facts.certainty !== 'unparsed' &&
    facts.class === 'read' &&
    !facts.mayChangeSession &&
    statement.class === 'read' &&
    statement.effects.length === 0 &&
    statement.runs === undefined &&
    statement.copy === undefined &&
    statement.transaction === undefined &&
    statement.output !== undefined
  )
}

/** Whether these bytes are these characters, all of them ASCII: any other is written differently in each encoding. */
function isSameText(text: string, bytes: Buffer, start: number, end: number): boolean {
  if (text.length !== end - start) return false
  let seen = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code !== bytes[start + i]) return false
    seen |= code
  }
  return seen < 0x80
}

function isSameBytes(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (known.length !== end - start) return false
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false
  return true
}

function numbersOf(bytes: Buffer, start: number, count: number, size: 2 | 4): readonly number[] {
  if (count === 0) return NO_NUMBERS
  const numbers: number[] = []
  for (let i = 0; i < count; i++) {
    const at = start + i * size
    numbers.push(size === 2 ? uint16(bytes, at) : int32(bytes, at) >>> 0)
  }
  return numbers
}

function valuesOf(message: LaneMessage, reader: ChunkReader, statement: Statement): readonly BoundValue[] {
  const { bytes } = reader
  const values: BoundValue[] = []
  let at = message.valuesAt
  for (let i = 0; i < message.valueCount; i++) {
    const type = statement.parameterTypes[i] ?? 0
    const code =
      message.formatCount === 0 ? 0 : uint16(bytes, message.formatsAt + (message.formatCount === 1 ? 0 : i * 2))
    const format = code === 1 ? 'binary' : 'text'
    const length = int32(bytes, at)
    at += 4
    if (length === -1) {
      values.push({ type, format })
      continue
    }
    values.push({ type, format, bytes: reader.keep(at, at + length) })
    at += length
  }
  return values
}
