import {
  type BoundValue,
  type ChunkReader,
  type CommandAnswer,
  type Denial,
  type Obligations,
  SallyportError,
  type SqlFacts,
  type SqlSessionState,
  unparsedFacts,
} from '../../core/index.js'
import { PostgresCommand } from './command.js'
import type { Shared } from './connection-shared.js'
import { decodeText } from './encodings.js'
import {
  type BindMessage,
  decodeBind,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  type ParameterRange,
} from './frontend.js'
import { MessageStream } from './message-stream.js'
import { Frontend } from './message-types.js'
import { serverName } from './names.js'
import { closeMessage, describe, errorResponse, flush, parse, query, sync } from './messages.js'
import { newRun, type Owed, type Portal, type Run, type Statement } from './pipeline.js'
import { denialResponse, REFUSED_TEXT, RESERVED_STATEMENT } from './refusal.js'
import { keptBytes, runsNames } from './statements.js'

const NO_VALUES: readonly BoundValue[] = []
const INTERRUPTED: CommandAnswer = { outcome: 'interrupted', tags: [], rows: 0, bytes: 0 }
const BACKSLASH = 0x5c

/** A message that waits for its verdict. It still stands at the reader. */
export interface Awaiting {
  readonly command: PostgresCommand
  readonly type: number
  readonly frameBytes: number
  readonly name: string
  readonly statement?: Statement
  readonly portal?: Portal
  readonly resultFormats?: readonly number[]
}

/** A Query that waits for the description of the columns its COPY will send. */
interface Describing {
  readonly run: Run
  readonly target: Statement
  readonly frameBytes: number
  readonly lastOwed: Owed
}

/**
 * The client's half of an established connection: takes its messages one by one, names the commands in them, and sends on
 * what was permitted.
 *
 * Theory of operation. Every text is judged when it is parsed (`prepare`: nothing runs yet) and every run when its values are
 * known: at Query, Bind and FunctionCall. A message under judgement stays at the reader, so that order needs no bookkeeping.
 * A refused message is replaced by a syntax error of our own (see `refusal.ts`). What a later text means can depend on what is
 * still running, so after a command that may change the session nothing is looked at until its answer is there (`barrier`).
 */
export class FrontendHalf {
  readonly #shared: Shared
  #awaiting: Awaiting | undefined
  #describing: Describing | undefined
  #isPaused = false
  /** Permitted while paused. */
  #released: { readonly commandId: number; readonly obligations: Obligations } | undefined
  /** The rest of a message whose beginning was sent on or dropped. */
  readonly #stream: MessageStream
  #hasEnded = false

  constructor(shared: Shared) {
    this.#shared = shared
    this.#stream = new MessageStream(shared.fromClient, shared.toTarget)
  }

  /** Something of the client waits for a verdict or a description. */
  get isWaiting(): boolean {
    return this.#awaiting !== undefined || this.#describing !== undefined
  }

  /** Nothing is under way here. */
  get isAtRest(): boolean {
    return (
      this.#awaiting === undefined &&
      this.#describing === undefined &&
      this.#released === undefined &&
      !this.#isPaused &&
      !this.#hasEnded &&
      !this.#stream.isOpen
    )
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** The session is over: what was permitted and not sent will not be. */
  abandon(): void {
    if (this.#describing !== undefined) this.#shared.answerRun(this.#describing.run, 'interrupted')
    this.#describing = undefined
    if (this.#released !== undefined) this.#shared.answer(this.#released.commandId, INTERRUPTED)
    this.#released = undefined
  }

  end(): void {
    this.#hasEnded = true
    if (this.#awaiting !== undefined) {
      this.#shared.events.push({ type: 'withdraw', commandId: this.#awaiting.command.id })
    }
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
  }

  /** Handles one message. Returns whether anything moved. */
  step(): boolean {
    const shared = this.#shared
    if (this.#describing !== undefined) return !this.#isPaused && this.#continueDescribing(this.#describing)
    if (this.#released !== undefined && !this.#isPaused) {
      const { commandId, obligations } = this.#released
      this.#released = undefined
      this.permit(commandId, obligations)
      return true
    }
    if (this.#isBlocked()) return false
    const reader = shared.fromClient
    if (this.#stream.isOpen) return this.#stream.step() || this.#abandoned()
    if (!reader.fill(5)) return this.#abandoned()
    const buffer = reader.bytes
    const type = buffer[reader.position] as number
    const length = buffer.readInt32BE(reader.position + 1)
    if (length < 4) return this.#violation(`invalid message length ${length}`)
    try {
      return this.#message(type, length + 1) || this.#abandoned()
    } catch (error) {
      if (error instanceof SallyportError && error.code === 'protocol_violation') return this.#violation(error.message)
      throw error
    }
  }

  /** Closes once a client that left (without Terminate, as some do) has every answer it was owed. */
  #abandoned(): boolean {
    const shared = this.#shared
    if (!this.#hasEnded || (shared.owed.length > 0 && shared.copyIn === undefined)) return false
    // In the middle of a message nothing of our own may follow it: the target sees the end of the stream instead.
    if (!this.#stream.isOpen && shared.copyIn === undefined) shared.toTarget.send(TERMINATE)
    shared.close()
    return true
  }

  permit(commandId: number, obligations: Obligations): void {
    if (this.#isPaused && this.#awaiting?.command.id === commandId && !this.#shared.isClosed) {
      this.#released = { commandId, obligations }
      return
    }
    const awaiting = this.#take(commandId)
    if (awaiting === undefined) return
    const shared = this.#shared
    if (shared.isDiscarding) {
      // An error of an earlier message overtook the verdict: the server would ignore this one, too.
      shared.answer(commandId, INTERRUPTED)
      this.#drop(awaiting.frameBytes)
      return
    }
    switch (awaiting.type) {
      case Frontend.Query:
        this.#permitQuery(awaiting, newRun(commandId, awaiting.command.facts, obligations))
        break
      case Frontend.Parse:
        this.#permitParse(awaiting)
        break
      case Frontend.Bind:
        this.#permitBind(awaiting, newRun(commandId, awaiting.command.facts, obligations))
        break
      case Frontend.Execute: {
        const portal = awaiting.portal as Portal
        shared.portalEnded(portal)
        portal.run = newRun(commandId, awaiting.command.facts, obligations)
        this.#execute(portal, awaiting.name, awaiting.frameBytes)
        break
      }
      default: {
        const run = newRun(commandId, awaiting.command.facts, obligations)
        this.#owe({ kind: 'function', run, hasFailed: false }, run)
        this.#forward(awaiting.frameBytes)
      }
    }
  }

  refuse(commandId: number, denial: Denial): void {
    const awaiting = this.#take(commandId)
    if (awaiting === undefined) return
    this.#refuseMessage(awaiting.type, awaiting.frameBytes, awaiting.name, denial)
  }

  #message(type: number, frameBytes: number): boolean {
    const shared = this.#shared
    if (shared.copyIn !== undefined) return this.#copyInMessage(type, frameBytes)
    if (shared.isDiscarding && type !== Frontend.Sync && type !== Frontend.Terminate) {
      return this.#stream.start(frameBytes, true)
    }
    switch (type) {
      case Frontend.CopyData:
        // The server ignores these outside COPY: it may have failed while they were under way.
        return this.#stream.start(frameBytes, true)
      case Frontend.CopyDone:
      case Frontend.CopyFail:
        if (frameBytes > shared.limits.maxControlBytes) return this.#violation('a message is too long')
        if (!shared.fromClient.fill(frameBytes)) return false
        this.#drop(frameBytes)
        return true
      case Frontend.Query:
      case Frontend.Parse:
      case Frontend.Bind:
      case Frontend.FunctionCall:
        if (frameBytes > shared.limits.maxCommandBytes) return this.#tooLong(type, frameBytes)
        break
      case Frontend.Describe:
      case Frontend.Execute:
      case Frontend.Close:
      case Frontend.Flush:
      case Frontend.Sync:
      case Frontend.Terminate:
        if (frameBytes > MAX_SMALL_MESSAGE_BYTES) return this.#violation('a message is too long')
        break
      default:
        return this.#violation(`invalid frontend message type ${type}`)
    }
    const reader = shared.fromClient
    if (!reader.fill(frameBytes)) return false
    const start = reader.position + 5
    const end = reader.position + frameBytes
    switch (type) {
      case Frontend.Query:
        return this.#query(start, end, frameBytes)
      case Frontend.Parse:
        return this.#parse(start, end, frameBytes)
      case Frontend.Bind:
        return this.#bind(start, end, frameBytes)
      case Frontend.Describe:
        return this.#describe(start, end, frameBytes)
      case Frontend.Execute:
        return this.#executeMessage(start, end, frameBytes)
      case Frontend.Close:
        return this.#close(start, end, frameBytes)
      case Frontend.FunctionCall:
        return this.#functionCall(start, end, frameBytes)
      case Frontend.Flush:
        if (frameBytes !== 5) return this.#violation('invalid message format')
        this.#forward(frameBytes)
        return true
      case Frontend.Sync:
        if (frameBytes !== 5) return this.#violation('invalid message format')
        this.#sync()
        this.#forward(frameBytes)
        return true
      default:
        // Terminate
        this.#forward(frameBytes)
        shared.close()
        return true
    }
  }

  #sync(): void {
    const shared = this.#shared
    const owed: Owed = { kind: 'sync', isOwn: false }
    shared.isDiscarding = false
    if (shared.hasOpenChange) shared.pendingChange = owed
    shared.hasOpenChange = false
    shared.segmentsSent++
    shared.owed.push(owed)
  }

  /** 'Q': String text. */
  #query(start: number, end: number, frameBytes: number): boolean {
    const { text: bytes } = decodeQuery(this.#shared.fromClient.bytes, start, end)
    const text = this.#text(bytes)
    if (text === undefined) return false
    const analysed = this.#facts(text, bytes, this.#shared.state.current)
    if (this.#shared.areNamesOpen && runsNames(analysed)) return false
    const tooMany = this.#tooManyNames(analysed)
    if (tooMany !== undefined) return this.#limit(Frontend.Query, frameBytes, '', tooMany)
    const facts = this.#shared.names.effective(analysed)
    return this.#await({
      command: this.#command('Query', text, bytes, facts),
      type: Frontend.Query,
      frameBytes,
      name: '',
    })
  }

  /** 'P': String name, String text, Int16 count, Int32 parameter types. */
  #parse(start: number, end: number, frameBytes: number): boolean {
    const shared = this.#shared
    const message = decodeParse(shared.fromClient.bytes, start, end)
    const { text: bytes } = message
    const name = serverName(message.name)
    if (name === undefined) return this.#unreadable(frameBytes)
    const text = this.#text(bytes)
    if (text === undefined) return false
    if (name !== '' && shared.names.statements.size >= shared.limits.maxNames) {
      return this.#limit(Frontend.Parse, frameBytes, name, `more than ${shared.limits.maxNames} prepared statements`)
    }
    if (isReserved(name)) return this.#notPossible(frameBytes, '42602', `prepared statement name "${name}" is reserved`)
    const facts = this.#facts(text, bytes, shared.state.current)
    if (shared.areNamesOpen && runsNames(facts)) return false
    const statement: Statement = {
      text,
      facts,
      parameterTypes: message.parameterTypes,
      state: shared.state.current,
      segment: shared.segmentsSent,
      description: undefined,
    }
    if (name !== '' && !shared.names.hasRoomFor(keptBytes(statement), shared.limits.maxNamesBytes)) {
      return this.#limit(Frontend.Parse, frameBytes, name, 'prepared statements take too much memory')
    }
    return this.#await({
      command: this.#command('Parse', text, bytes, shared.names.effective(facts)),
      type: Frontend.Parse,
      frameBytes,
      name,
      statement,
    })
  }

  #permitParse(awaiting: Awaiting): void {
    const shared = this.#shared
    const statement = awaiting.statement as Statement
    shared.owed.push({
      kind: 'parse',
      name: awaiting.name,
      statement,
      previous: shared.names.statements.get(awaiting.name),
      commandId: awaiting.command.id,
      isOwn: false,
    })
    shared.names.statements.set(awaiting.name, statement)
    this.#forward(awaiting.frameBytes)
  }

  /** 'B': see {@link decodeBind}. */
  #bind(start: number, end: number, frameBytes: number): boolean {
    const shared = this.#shared
    const buffer = shared.fromClient.bytes
    const message = decodeBind(buffer, start, end)
    const name = serverName(message.portal)
    const statementName = serverName(message.statement)
    if (name === undefined || statementName === undefined) return this.#unreadable(frameBytes)
    const statement = shared.names.statements.get(statementName)
    if (statement === undefined) return this.#unknown('S', statementName, frameBytes)
    if (this.#isOpen(statement)) return false
    if (name !== '' && shared.names.portals.size >= shared.limits.maxNames) {
      return this.#limit(Frontend.Bind, frameBytes, name, `more than ${shared.limits.maxNames} portals`)
    }
    const tooMany = this.#tooManyNames(statement.facts)
    if (tooMany !== undefined) return this.#limit(Frontend.Bind, frameBytes, name, tooMany)
    const facts = this.#factsNow(statement)
    const command = new PostgresCommand(
      this.#shared.nextId++,
      'Bind',
      statement.text,
      facts,
      shared.state.current,
      shared.state.transaction,
      shared.state.transactionSerial,
      boundValues(shared.fromClient, message, statement),
    )
    return this.#await({
      command,
      type: Frontend.Bind,
      frameBytes,
      name,
      statement,
      resultFormats: message.resultFormats,
    })
  }

  #permitBind(awaiting: Awaiting, run: Run): void {
    const shared = this.#shared
    const statement = awaiting.statement as Statement
    const previous = shared.names.portals.get(awaiting.name)
    const portal: Portal = {
      text: statement.text,
      facts: awaiting.command.facts,
      statement,
      resultFormats: awaiting.resultFormats ?? [],
      state: shared.state.current,
      survivesTransaction: false,
      isBound: false,
      segment: shared.segmentsSent,
      inherited: run.obligations.masker === undefined ? undefined : this.rememberedOf(statement),
      description: undefined,
      run,
    }
    run.described = portal
    shared.names.portals.set(awaiting.name, portal)
    shared.owed.push({ kind: 'bind', name: awaiting.name, previous, portal })
    this.#forward(awaiting.frameBytes)
  }

  /**
   * The description of a statement, while it is sure to be that of what is bound to it now. The server plans anew whenever
   * names have got another meaning, and tells nobody that the columns come from elsewhere.
   */
  rememberedOf(statement: Statement): Buffer | 'none' | undefined {
    const shared = this.#shared
    const { description, described: at } = statement
    // An earlier segment that fails takes back what it changed, and nobody has heard of that yet.
    if (description === undefined || at === undefined || shared.areNamesOpen || at.meaning !== shared.meaning)
      return undefined
    return shared.context.clock.nowUnixMs() - at.atUnixMs > MAX_DESCRIPTION_AGE_MS ? undefined : description
  }

  /** 'D': Byte 'S' or 'P', String name. */
  #describe(start: number, end: number, frameBytes: number): boolean {
    const shared = this.#shared
    const { kind, name: given } = decodeDescribe(shared.fromClient.bytes, start, end)
    const name = serverName(given)
    if (name === undefined) return this.#unreadable(frameBytes)
    const target = kind === 'S' ? shared.names.statements.get(name) : shared.names.portals.get(name)
    if (target === undefined) return this.#unknown(kind, name, frameBytes)
    if (shared.isOpen(target)) return false
    if (target.description === undefined && !shared.names.hasRoomFor(0, shared.limits.maxNamesBytes)) {
      return this.#limit(Frontend.Describe, frameBytes, name, 'descriptions take too much memory')
    }
    shared.owed.push({ kind: 'describe', target, at: shared.describedNow(), isOwn: false })
    this.#forward(frameBytes)
    return true
  }

  /** 'E': String portal, Int32 most rows. */
  #executeMessage(start: number, end: number, frameBytes: number): boolean {
    const shared = this.#shared
    const name = serverName(decodeExecute(shared.fromClient.bytes, start, end).portal)
    if (name === undefined) return this.#unreadable(frameBytes)
    const portal = shared.names.portals.get(name)
    if (portal === undefined) return this.#unknown('P', name, frameBytes)
    const { statement } = portal
    const runsOthers = statement !== undefined && runsNames(statement.facts)
    if (shared.isOpen(portal) || (runsOthers && shared.areNamesOpen)) return false
    if (
      statement === undefined ||
      runsOthers ||
      (portal.state !== shared.state.current && portal.facts.class !== 'read')
    ) {
      // A cursor of SQL level, an EXECUTE of a name, or the session changed since Bind: what it does now has not been judged.
      const command = new PostgresCommand(
        this.#shared.nextId++,
        'Execute',
        portal.text,
        statement === undefined ? portal.facts : this.#factsNow(statement),
        shared.state.current,
        shared.state.transaction,
        shared.state.transactionSerial,
      )
      return this.#await({ command, type: Frontend.Execute, frameBytes, name, portal })
    }
    this.#execute(portal, name, frameBytes)
    return true
  }

  #execute(portal: Portal, name: string, frameBytes: number): void {
    const shared = this.#shared
    const { run } = portal
    run.described ??= portal
    if (run.obligations.masker !== undefined) this.#describeBefore(portal, name, run)
    this.#owe({ kind: 'execute', portal, run }, run)
    this.#forward(frameBytes)
    if (shared.barrier !== undefined) {
      // The server keeps its answer until it is asked for it, and nothing goes on before.
      shared.toTarget.send(FLUSH)
    }
  }

  /** Sees to it that the columns are known before rows of them come: clients need not ask, but masks do. */
  #describeBefore(portal: Portal, name: string, run: Run): void {
    const shared = this.#shared
    const copy = copyOut(portal.facts)
    if (copy !== undefined) {
      if (copy.describeText === undefined || run.described !== portal) return
      const target = described(copy.describeText, portal.facts)
      run.described = target
      shared.owed.push(ownParse(RESERVED_STATEMENT, target))
      shared.owed.push({ kind: 'describe', target, at: shared.describedNow(), isOwn: true })
      shared.owed.push({ kind: 'close-statement', name: RESERVED_STATEMENT, previous: undefined, isOwn: true })
      shared.toTarget.send(parse(RESERVED_STATEMENT, copy.describeText))
      shared.toTarget.send(describe('S', RESERVED_STATEMENT))
      shared.toTarget.send(closeMessage('S', RESERVED_STATEMENT))
      return
    }
    const isKnown = portal.description !== undefined || portal.inherited !== undefined
    if (isKnown || returnsNothing(portal.facts) || this.#isDescribeOwed(portal)) return
    shared.owed.push({ kind: 'describe', target: portal, at: shared.describedNow(), isOwn: true })
    shared.toTarget.send(describe('P', name))
  }

  #isDescribeOwed(portal: Portal): boolean {
    const { owed } = this.#shared
    for (let i = owed.length - 1; i >= 0; i--) {
      const item = owed.at(i) as Owed
      if (item.kind === 'sync') return false
      if (item.kind === 'describe' && item.target === portal) return true
    }
    return false
  }

  /** 'C': Byte 'S' or 'P', String name. */
  #close(start: number, end: number, frameBytes: number): boolean {
    const shared = this.#shared
    const { kind, name: given } = decodeClose(shared.fromClient.bytes, start, end)
    const name = serverName(given)
    if (name === undefined) return this.#unreadable(frameBytes)
    const { statements, portals } = shared.names
    if (kind === 'S') {
      shared.owed.push({ kind: 'close-statement', name, previous: statements.get(name), isOwn: false })
      statements.delete(name)
    } else {
      shared.owed.push({ kind: 'close-portal', name, previous: portals.get(name), isOwn: false })
      portals.delete(name)
    }
    this.#forward(frameBytes)
    return true
  }

  /** 'F': calls a function by its OID: nothing can be said of it from a text, and a rule has to allow it by name. */
  #functionCall(start: number, end: number, frameBytes: number): boolean {
    const { oid } = decodeFunctionCall(this.#shared.fromClient.bytes, start, end)
    const facts = unparsedFacts('a function is called by its number')
    const command = this.#command('FunctionCall', `FunctionCall ${oid}`, undefined, facts)
    return this.#await({ command, type: Frontend.FunctionCall, frameBytes, name: '' })
  }

  #permitQuery(awaiting: Awaiting, run: Run): void {
    const shared = this.#shared
    const copy = copyOut(run.facts)
    if (run.obligations.masker !== undefined && copy?.describeText !== undefined) {
      const target = described(copy.describeText, run.facts)
      const lastOwed: Owed = { kind: 'sync', isOwn: true }
      shared.owed.push(ownParse('', target))
      shared.owed.push({ kind: 'describe', target, at: shared.describedNow(), isOwn: true })
      shared.owed.push(lastOwed)
      shared.toTarget.send(parse('', copy.describeText))
      shared.toTarget.send(describe('S', ''))
      shared.toTarget.send(sync())
      run.described = target
      this.#describing = { run, target, frameBytes: awaiting.frameBytes, lastOwed }
      shared.barrier = lastOwed
      return
    }
    this.#sendQuery(run, awaiting.frameBytes)
  }

  #continueDescribing(describing: Describing): boolean {
    const shared = this.#shared
    if (shared.barrier === describing.lastOwed) return false
    this.#describing = undefined
    if (describing.target.description === undefined) {
      // The error of the description was told in place of the command's own.
      shared.answerRun(describing.run, 'failed')
      this.#drop(describing.frameBytes)
    } else {
      this.#sendQuery(describing.run, describing.frameBytes)
    }
    return true
  }

  #sendQuery(run: Run, frameBytes: number): void {
    const { statements, portals } = this.#shared.names
    const unnamed = { statement: statements.get(''), portal: portals.get('') }
    this.#owe({ kind: 'query', run, unnamed, statement: 0, hasFailed: false }, run)
    this.#forward(frameBytes)
  }

  /** Makes later messages wait where this one may give them another meaning, or where its result may be cut. */
  #owe(owed: Owed, run: Run): void {
    const shared = this.#shared
    shared.owed.push(owed)
    const { facts, obligations } = run
    if (facts.class !== 'read') {
      shared.meaningMayHaveChanged()
      if (owed.kind === 'execute') shared.hasOpenChange = true
      else shared.pendingChange = owed
    }
    if (
      facts.mayChangeSession ||
      // What follows it may be data, which is nobody's command, or would be swallowed as such.
      mayCopyIn(facts) ||
      obligations.maxRows !== undefined ||
      obligations.maxBytes !== undefined ||
      (shared.state.isTouchedInTransaction && facts.class !== 'read')
    ) {
      shared.barrier = owed
    }
  }

  /** CopyData, CopyDone and CopyFail; Flush and Sync, which the server ignores meanwhile; Terminate. */
  #copyInMessage(type: number, frameBytes: number): boolean {
    const shared = this.#shared
    switch (type) {
      case Frontend.CopyData:
        return this.#stream.start(frameBytes, false)
      case Frontend.CopyDone:
      case Frontend.CopyFail:
      case Frontend.Flush:
      case Frontend.Sync:
      case Frontend.Terminate:
        if (frameBytes > shared.limits.maxControlBytes) return this.#violation('a message is too long')
        if (!shared.fromClient.fill(frameBytes)) return false
        this.#forward(frameBytes)
        if (type === Frontend.CopyDone || type === Frontend.CopyFail) {
          shared.copyIn = undefined
          // The client's Sync waits behind the barrier, and the server's answer for a Sync.
          if (shared.barrier?.kind === 'execute') shared.toTarget.send(FLUSH)
        }
        if (type === Frontend.Terminate) shared.close()
        return true
      default:
        return this.#violation('unexpected message type during COPY from stdin')
    }
  }

  #isBlocked(): boolean {
    const shared = this.#shared
    if (this.#awaiting !== undefined || this.#isPaused) return true
    if (shared.barrier !== undefined && shared.copyIn === undefined) return true
    if (shared.owed.length < shared.limits.maxPipeline || this.#stream.isOpen) return false
    // The server may keep its answers until it is asked for them.
    const last = shared.owed.at(shared.owed.length - 1)
    if (this.#flushedBehind !== last) shared.toTarget.send(FLUSH)
    this.#flushedBehind = last
    return true
  }

  #flushedBehind: Owed | undefined

  /** The text as a string; an empty one stands for bytes nobody can read. Undefined: it has to wait. */
  #text(bytes: Buffer): string | undefined {
    const shared = this.#shared
    // What a backslash means may be changing right now: only ReadyForQuery brings the news.
    if (shared.pendingChange !== undefined && !shared.hasOpenChange && bytes.includes(BACKSLASH)) return undefined
    return decodeText(bytes, shared.state.current.clientEncoding) ?? ''
  }

  #facts(text: string, bytes: Buffer, state: SqlSessionState): SqlFacts {
    const shared = this.#shared
    // Fails closed: what the server will read cannot be told.
    if (text === '' && bytes.length > 0) return unparsedFacts(`its bytes are not valid ${state.clientEncoding}`)
    if (shared.hasOpenChange && bytes.includes(BACKSLASH)) {
      return unparsedFacts('it has a backslash, whose meaning an earlier command of the same pipeline may change')
    }
    return this.#analyze(text, state)
  }

  #analyze(text: string, state: SqlSessionState): SqlFacts {
    const { admission } = this.#shared
    return admission === undefined ? unparsedFacts('nobody is logged in') : admission.analyzer.analyze(text, state)
  }

  /** A prepared statement's facts under the present search_path and role, as lexed when it was parsed. */
  #factsNow(statement: Statement): SqlFacts {
    const { state, names } = this.#shared
    if (
      statement.state === undefined ||
      statement.state === state.current ||
      statement.facts.certainty === 'unparsed'
    ) {
      return names.effective(statement.facts)
    }
    return names.effective(
      this.#analyze(statement.text, {
        ...state.current,
        standardConformingStrings: statement.state.standardConformingStrings,
      }),
    )
  }

  #command(via: string, text: string, bytes: Buffer | undefined, facts: SqlFacts): PostgresCommand {
    const { state } = this.#shared
    const shown = text === '' && bytes !== undefined ? bytes.toString('latin1') : text
    return new PostgresCommand(
      this.#shared.nextId++,
      via,
      shown,
      facts,
      state.current,
      state.transaction,
      state.transactionSerial,
    )
  }

  /** Waits for the verdict on a command that was asked for already. Its message stands at the reader. */
  adopt(awaiting: Awaiting): void {
    this.#awaiting = awaiting
    this.#shared.awaitingId = awaiting.command.id
  }

  #await(awaiting: Awaiting): boolean {
    this.adopt(awaiting)
    this.#shared.events.push({ type: 'command', command: awaiting.command })
    return true
  }

  /** Undefined where the session ended, or the verdict came twice. */
  #take(commandId: number): Awaiting | undefined {
    const awaiting = this.#awaiting
    if (awaiting === undefined || awaiting.command.id !== commandId || this.#shared.isClosed) return undefined
    this.#awaiting = undefined
    this.#shared.awaitingId = undefined
    return awaiting
  }

  /**
   * A name that stands for nothing. The target is told so too, and then asked: its own error is the exact one, and a name
   * that was made behind our back does not run.
   */
  #unknown(kind: 'S' | 'P', name: string, frameBytes: number): boolean {
    const shared = this.#shared
    if (shared.areNamesOpen) return false
    shared.toTarget.send(closeMessage(kind, name))
    shared.owed.push({
      kind: kind === 'S' ? 'close-statement' : 'close-portal',
      name,
      previous: undefined,
      isOwn: true,
    })
    shared.owed.push({ kind: 'refusal', response: undefined, isSimple: false, isTold: false })
    shared.isDiscarding = true
    this.#forward(frameBytes)
    return true
  }

  /** Whether it may yet turn out that this is not what runs. */
  #isOpen(statement: Statement): boolean {
    const shared = this.#shared
    return shared.isOpen(statement) || (shared.areNamesOpen && runsNames(statement.facts))
  }

  /** Fails closed: which statement or portal is meant depends on encodings that the server alone knows. */
  #unreadable(frameBytes: number): boolean {
    return this.#notPossible(frameBytes, '0A000', 'names of statements and portals must be ASCII')
  }

  /** Answers as the server would: no policy is involved. */
  #notPossible(frameBytes: number, code: string, message: string): true {
    const shared = this.#shared
    shared.toTarget.send(parse(RESERVED_STATEMENT, REFUSED_TEXT))
    shared.owed.push({
      kind: 'refusal',
      response: errorResponse({ severity: 'ERROR', code, message }),
      isSimple: false,
      isTold: false,
    })
    shared.isDiscarding = true
    this.#drop(frameBytes)
    return true
  }

  #limit(type: number, frameBytes: number, name: string, what: string): true {
    this.#refuseOwn(type, frameBytes, name, { reason: 'limit', message: `limit exceeded: ${what}` })
    return true
  }

  /** What is wrong with the names that PREPARE and DECLARE would add. */
  #tooManyNames(facts: SqlFacts): string | undefined {
    if (!facts.mayChangeSession) return undefined
    const { names, limits } = this.#shared
    let bytes = 0
    let count = 0
    for (const { effects } of facts.statements) {
      for (const effect of effects) {
        if (effect.kind !== 'prepare' && effect.kind !== 'declare-cursor') continue
        count++
        bytes += keptBytes({ text: '', facts: effect.statement, description: undefined })
      }
    }
    if (count === 0) return undefined
    if (names.statements.size + count > limits.maxNames) return `more than ${limits.maxNames} prepared statements`
    if (names.portals.size + count > limits.maxNames) return `more than ${limits.maxNames} portals`
    return names.hasRoomFor(bytes, limits.maxNamesBytes) ? undefined : 'prepared statements take too much memory'
  }

  /** A message that would have to be judged whole and is too long for that. The session lives on. */
  #tooLong(type: number, frameBytes: number): boolean {
    const denial: Denial = {
      reason: 'limit',
      message: `a command of ${frameBytes} bytes is longer than the ${this.#shared.limits.maxCommandBytes} that are allowed`,
    }
    this.#refuseOwn(type, frameBytes, '', denial)
    return true
  }

  #refuseOwn(type: number, frameBytes: number, name: string, denial: Denial): void {
    this.#shared.events.push({ type: 'refused', via: String.fromCharCode(type), denial })
    this.#refuseMessage(type, frameBytes, name, denial)
  }

  /** Sends a syntax error of our own in place of the message; its answer becomes the denial. */
  #refuseMessage(type: number, frameBytes: number, name: string, denial: Denial): void {
    const shared = this.#shared
    const isSimple = type === Frontend.Query || type === Frontend.FunctionCall
    if (shared.isDiscarding) {
      this.#stream.start(frameBytes, true)
      return
    }
    if (isSimple) {
      shared.names.statements.delete('')
      shared.toTarget.send(query(REFUSED_TEXT))
    } else {
      // A refused Parse of the unnamed statement does away with the one before, as a failed one does.
      const isUnnamed = type === Frontend.Parse && name === ''
      if (isUnnamed) shared.names.statements.delete('')
      shared.toTarget.send(parse(isUnnamed ? '' : RESERVED_STATEMENT, REFUSED_TEXT))
      shared.isDiscarding = true
    }
    shared.owed.push({ kind: 'refusal', response: denialResponse(denial, 'ERROR'), isSimple, isTold: false })
    this.#stream.start(frameBytes, true)
  }

  #forward(frameBytes: number): void {
    const reader = this.#shared.fromClient
    this.#shared.toTarget.forward(reader.bytes, reader.position, reader.position + frameBytes)
    reader.position += frameBytes
  }

  #drop(frameBytes: number): void {
    this.#shared.fromClient.position += frameBytes
  }

  #violation(problem: string): true {
    const shared = this.#shared
    shared.toClient.send(errorResponse({ severity: 'FATAL', code: '08P01', message: problem }))
    shared.close(new SallyportError('protocol_violation', problem))
    return true
  }
}

/** Other sessions may change a view's meaning: as long as the plans of masks are kept. */
const MAX_DESCRIPTION_AGE_MS = 30_000
/** Describe, Execute and Close carry one name; the rest nothing. */
const MAX_SMALL_MESSAGE_BYTES = 10_000
const FLUSH = flush()
const TERMINATE = Buffer.from([Frontend.Terminate, 0, 0, 0, 4])

function isReserved(name: string): boolean {
  return name === RESERVED_STATEMENT || name.startsWith('\0')
}

function ownParse(name: string, statement: Statement): Owed {
  return { kind: 'parse', name, statement, previous: undefined, commandId: 0, isOwn: true }
}

/** A statement of our own that is only ever described. */
function described(text: string, facts: SqlFacts): Statement {
  return { text, facts, parameterTypes: [], state: undefined, description: undefined }
}

/** The COPY ... TO STDOUT that a command consists of. */
function copyOut(facts: SqlFacts): { readonly describeText?: string } | undefined {
  if (facts.statements.length !== 1) return undefined
  const copy = facts.statements[0]?.copy
  return copy?.direction === 'to' && copy.endpoint === 'client' ? copy : undefined
}

/** Fails closed: whatever cannot be read may ask for data. */
function mayCopyIn(facts: SqlFacts): boolean {
  if (facts.certainty === 'unparsed') return true
  const { statements } = facts
  for (let i = 0; i < statements.length; i++) {
    const copy = statements[i]?.copy
    if (copy?.direction === 'from' && copy.endpoint === 'client') return true
  }
  return false
}

function returnsNothing(facts: SqlFacts): boolean {
  return facts.certainty !== 'unparsed' && facts.statements.every((statement) => statement.output === undefined)
}

/** @param reader where the message stands: its values are views of it, or copies where its memory is lent */
function boundValues(reader: ChunkReader, message: BindMessage, statement: Statement): readonly BoundValue[] {
  const { parameters, parameterFormats: formats } = message
  if (parameters.length === 0) return NO_VALUES
  const values: BoundValue[] = []
  for (let i = 0; i < parameters.length; i++) {
    const range = parameters[i] as ParameterRange
    const type = statement.parameterTypes[i] ?? 0
    const format = (formats.length === 0 ? 0 : formats[formats.length === 1 ? 0 : i]) === 1 ? 'binary' : 'text'
    if (range === -1) values.push({ type, format })
    else values.push({ type, format, bytes: reader.keep(range[0], range[1]) })
  }
  return values
}
