import {
  CELL_NULL,
  CELL_UNCHANGED,
  ByteWriter,
  type Relation,
  type ResultColumn,
  type ResultMasker,
  type RowPlan,
  SallyportError,
  type SqlStatementFacts,
  type TextMasker,
} from '../../core/index.js'
import {
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorFields,
  decodeParameterStatus,
  decodeReadyForQuery,
} from './backend.js'
import type { Shared } from './connection-shared.js'
import { createCopyMasker } from './copy-rows.js'
import { isAsciiSafeEncoding } from './encodings.js'
import { factsBehind, namedRelations } from './facts-behind.js'
import { maskErrorOrNotice, maskNotification, maskParameterStatus, maskRowDescriptionNames } from './mask-messages.js'
import { MessageStream } from './message-stream.js'
import { Backend } from './message-types.js'
import { copyFail, flush, parse } from './messages.js'
import type { Owed, Portal, Run, Statement } from './pipeline.js'
import { denialResponse, REFUSED_TEXT, RESERVED_STATEMENT } from './refusal.js'
import { catalogTrustAfter, neededLookUps, type PlanRequest } from './results.js'
import { maskDataRow } from './rows.js'

const NO_FORMATS: readonly number[] = []
const NOTHING = Buffer.alloc(0)
const CUT_CODE = '54000' // program_limit_exceeded
const SPARE_BYTES = 1_024

/** Relations have to be looked up before the next message may pass. */
interface Resolving {
  readonly accept: (relations: readonly Relation[]) => void
}

/** SQLSTATE classes whose texts quote no values: the server was told to stop, has run out of something, or lost a race. */
const QUOTES_NOTHING = /^(?:08|40|53|57)/

/**
 * The target's half of an established connection: joins each of its messages to what is owed for it, masks what can carry a
 * value, keeps the books, and lets the rest pass.
 *
 * Theory of operation. The target answers in the order of what it was sent, so the head of `owed` says what a message belongs
 * to. Anything that does not fit ends the session: a target that answers what nobody asked is not to be believed. Rows of results
 * without a plan are never looked into; they leave as views of the chunk they came in, also in parts.
 */
export class BackendHalf {
  readonly #shared: Shared
  #resolving: Resolving | undefined
  /** The rest of a message whose beginning has left. */
  readonly #stream: MessageStream
  /** Told to a client as soon as no message is half sent. */
  readonly #notices: Buffer[] = []
  #hasEnded = false
  /** What leaves now is output of this run, to be recorded. */
  #recorded: Run | undefined
  /** An error of our own took the place of the rest: everything up to ReadyForQuery is swallowed. */
  #isSwallowing = false
  /** Of what ran since ReadyForQuery. */
  #segmentMasker: ResultMasker | undefined

  constructor(shared: Shared) {
    this.#shared = shared
    this.#stream = new MessageStream(shared.fromTarget, shared.toClient)
  }

  get isResolving(): boolean {
    return this.#resolving !== undefined
  }

  end(): void {
    this.#hasEnded = true
  }

  /** Nothing is under way here. */
  get isAtRest(): boolean {
    return (
      this.#resolving === undefined &&
      !this.#hasEnded &&
      !this.#isSwallowing &&
      !this.#isOwnErrorTold &&
      this.#recorded === undefined &&
      this.#segmentMasker === undefined &&
      this.#notices.length === 0 &&
      !this.#stream.isOpen
    )
  }

  notify(notice: Buffer): void {
    this.#notices.push(notice)
  }

  /** Whether the client may be told something of our own right now. */
  get isBetweenMessages(): boolean {
    return !this.#stream.isHalfSent
  }

  resolved(relations: readonly Relation[]): void {
    const resolving = this.#resolving
    if (resolving === undefined) return
    this.#resolving = undefined
    resolving.accept(relations)
  }

  /** Handles one message. Returns whether anything moved. */
  step(): boolean {
    const shared = this.#shared
    if (this.#resolving !== undefined) return false
    const reader = shared.fromTarget
    if (this.#stream.isOpen) {
      if (this.#stream.step()) return true
      if (!this.#hasEnded) return false
      shared.close()
      return true
    }
    if (this.#notices.length > 0) {
      for (const notice of this.#notices.splice(0)) shared.toClient.send(notice)
    }
    if (!reader.fill(5)) {
      if (!this.#hasEnded) return false
      shared.close()
      return true
    }
    const type = reader.bytes[reader.position] as number
    const length = reader.bytes.readInt32BE(reader.position + 1)
    if (length < 4) throw shared.upstreamViolation(`the target sent a message of length ${length}`)
    const moved = type === Backend.DataRow ? this.#row(length + 1) : this.#message(type, length + 1)
    if (!moved && this.#hasEnded && this.#resolving === undefined) {
      shared.close()
      return true
    }
    return moved
  }

  /** Turns what has gathered for the client into writes, and into records of output where they are wanted. */
  flush(): void {
    const shared = this.#shared
    while (!shared.toClient.isEmpty) {
      const bytes = shared.toClient.flush()
      if (bytes !== undefined && this.#recorded !== undefined) {
        shared.events.push({ type: 'output', commandId: this.#recorded.commandId, channel: 'messages', bytes })
      }
    }
  }

  /** 'D': Int16 count, then Int32 length and bytes each. */
  #row(frameBytes: number): boolean {
    const shared = this.#shared
    if (this.#isSwallowing) return this.#stream.start(frameBytes, true)
    const head = shared.owed.peek()
    if (head === undefined || (head.kind !== 'query' && head.kind !== 'execute')) throw unexpected(Backend.DataRow)
    const { run } = head
    if (!run.isPlanned) {
      if (head.kind === 'query') throw shared.upstreamViolation('the target sent a row before its description')
      if (run.obligations.masker === undefined) run.isPlanned = true
      else return this.#planPortal(run)
    }
    const { obligations, plan } = run
    if (run.isCut) return this.#stream.start(frameBytes, true)
    if (obligations.maxRows !== undefined && run.rows >= obligations.maxRows)
      return this.#cut(run, `${obligations.maxRows} rows`)
    if (obligations.maxBytes !== undefined && run.bytes + frameBytes > obligations.maxBytes) {
      return this.#cut(run, `${obligations.maxBytes} bytes`)
    }
    if (plan === undefined) return this.#passUnmasked(Backend.DataRow, run, frameBytes)
    this.#checkMaskable(frameBytes)
    const reader = shared.fromTarget
    if (!reader.fill(frameBytes)) return false
    // Room for the whole window at once: masked rows are about as long as they were.
    shared.toClient.writer().reserve(reader.limit - reader.position + SPARE_BYTES)
    this.#maskRow(run, plan, frameBytes)
    if (!isCapped(run)) this.#maskWhole(run, plan)
    return true
  }

  /** Masks all rows that stand whole in the window. */
  #maskWhole(run: Run, plan: RowPlan): void {
    const reader = this.#shared.fromTarget
    const { bytes, limit } = reader
    while (limit - reader.position >= 5 && bytes[reader.position] === Backend.DataRow) {
      const length = bytes.readInt32BE(reader.position + 1)
      if (length < 4 || length >= limit - reader.position) break
      this.#maskRow(run, plan, length + 1)
    }
  }

  #maskRow(run: Run, plan: RowPlan, frameBytes: number): void {
    const reader = this.#shared.fromTarget
    const start = reader.position
    const end = start + frameBytes
    const out = this.#shared.toClient.writer()
    run.rows++
    run.bytes += frameBytes
    if (!maskDataRow(reader.bytes, start + 5, end, plan, out)) out.append(reader.bytes, start, end)
    reader.position = end
  }

  #message(type: number, frameBytes: number): boolean {
    const shared = this.#shared
    if (type === Backend.CopyData) return this.#copyData(frameBytes)
    if (frameBytes > shared.limits.maxControlBytes && type !== Backend.FunctionCallResponse) {
      throw new SallyportError('limit_exceeded', `the target sent a message of ${frameBytes} bytes`, {
        blame: 'upstream',
      })
    }
    const reader = shared.fromTarget
    if (!reader.fill(frameBytes)) return false
    const start = reader.position + 5
    const end = reader.position + frameBytes
    switch (type) {
      case Backend.NoticeResponse:
        if (!this.#learnExposure(start, end)) return false
        this.asynchronous(type, start, end)
        reader.position = end
        return true
      case Backend.ParameterStatus:
      case Backend.NotificationResponse:
        this.asynchronous(type, start, end)
        reader.position = end
        return true
      case Backend.ReadyForQuery:
        return this.#readyForQuery(start, end)
      case Backend.ErrorResponse:
        return this.#learnExposure(start, end) && this.#error(start, end)
      default:
        break
    }
    if (this.#isSwallowing) {
      // The client does not know of this COPY and will send nothing.
      if (type === Backend.CopyInResponse) shared.toTarget.send(copyFail('the command was cut'))
      const cut = shared.owed.peek()
      // What it does to names and settings counts all the same.
      if (type === Backend.CommandComplete && cut?.kind === 'query') this.#statementCompleted(cut, start, end)
      reader.position = end
      return true
    }
    const head = shared.owed.peek()
    if (head === undefined) throw unexpected(type)
    switch (type) {
      case Backend.ParseComplete:
        if (head.kind !== 'parse') throw unexpected(type)
        if (!head.isOwn) shared.answer(head.commandId, { outcome: 'completed', tags: [], rows: 0, bytes: 0 })
        return this.#settle(head.isOwn, start, end)
      case Backend.BindComplete:
        if (head.kind !== 'bind') throw unexpected(type)
        head.portal.isBound = true
        this.#shared.portalEnded(head.previous)
        return this.#settle(false, start, end)
      case Backend.CloseComplete:
        if (head.kind !== 'close-statement' && head.kind !== 'close-portal') throw unexpected(type)
        if (head.kind === 'close-portal') this.#shared.portalEnded(head.previous)
        return this.#settle(head.isOwn, start, end)
      case Backend.ParameterDescription:
        if (head.kind !== 'describe') throw unexpected(type)
        this.#pass(head.isOwn, start, end)
        return true
      case Backend.NoData:
        if (head.kind !== 'describe') throw unexpected(type)
        head.target.description = 'none'
        head.target.described = head.at
        return this.#settle(head.isOwn, start, end)
      case Backend.RowDescription:
        return this.#rowDescription(head, start, end)
      case Backend.CommandComplete:
      case Backend.EmptyQueryResponse:
      case Backend.PortalSuspended:
        return this.#complete(head, type, start, end)
      case Backend.CopyInResponse:
        return this.#copyIn(head, start, end)
      case Backend.CopyOutResponse:
        return this.#copyOut(head, start, end)
      case Backend.CopyDone:
        return this.#copyDone(head, start, end)
      case Backend.FunctionCallResponse:
        return this.#functionResponse(head, start, end)
      default:
        // CopyBothResponse belongs to replication, which is refused at start-up; the others to the log-in.
        throw unexpected(type)
    }
  }

  /** ParameterStatus, NoticeResponse, NotificationResponse: may come at any time, also while logging in. */
  asynchronous(type: number, start: number, end: number): void {
    const shared = this.#shared
    const { bytes } = shared.fromTarget
    const masker = shared.textMasker
    let masked: Buffer | undefined
    if (type === Backend.ParameterStatus) {
      const { name, value } = decodeParameterStatus(bytes, start, end)
      if (name === 'client_encoding' && !isAsciiSafeEncoding(value)) {
        throw new SallyportError('limit_exceeded', `client_encoding became \`${value}\`, which is not supported`, {
          blame: 'downstream',
        })
      }
      shared.state.report(name, value)
      masked = masker && maskParameterStatus(bytes, start, end, masker)
    } else if (type === Backend.NotificationResponse) {
      masked = masker && maskNotification(bytes, start, end, masker)
    } else {
      masked = this.#maskText(bytes, start, end)
    }
    if (masked === undefined) shared.toClient.forward(bytes, start - 5, end)
    else shared.toClient.send(masked)
  }

  /**
   * Learns what the next error or notice may quote of columns behind views. Returns whether that is known: the message
   * still stands at the reader.
   */
  #learnExposure(start: number, end: number): boolean {
    const shared = this.#shared
    const head = shared.owed.peek()
    const run = head && runOf(head)
    const masker = run?.obligations.masker
    if (run === undefined || masker?.textExposure === undefined) return true
    const { facts } = run
    const names = masker.readsSources === false ? [] : namedRelations(facts)
    // What the catalogue does not show yet may be a view of anything.
    if (names.length > 0 && shared.catalogTrust === 'tables') run.exposure = 'all'
    if (run.exposure !== undefined) return true
    const exposure = masker.textExposure(facts)
    if (names.length === 0 || exposure === 'all') {
      run.exposure = exposure
      return true
    }
    const { C: code = '', S, V: severity = S } = decodeErrorFields(shared.fromTarget.bytes, start, end)
    if (QUOTES_NOTHING.test(code) || severity === 'FATAL' || severity === 'PANIC') return true
    this.#resolving = {
      accept: (relations) => {
        const behind = factsBehind(facts, relations)
        run.exposure = (behind === 'unknown' ? undefined : masker.textExposure?.(behind)) ?? 'all'
      },
    }
    shared.events.push({ type: 'resolve', oids: [], names })
    return false
  }

  #maskText(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const head = this.#shared.owed.peek()
    const run = head && runOf(head)
    // Constraints may be checked at the very end.
    const isEnd = head?.kind === 'sync' && this.#segmentMasker !== undefined
    const own = isEnd ? this.#segmentMasker : run?.obligations.masker
    const masker = joinMaskers(own, this.#shared.textMasker)
    if (masker === undefined) return undefined
    const exposure = isEnd ? 'detail' : run === undefined ? 'none' : (run.exposure ?? own?.textExposure?.(run.facts))
    return maskErrorOrNotice(bytes, start, end, masker, exposure)
  }

  /** 'T': see {@link decodeRowDescription}. */
  #rowDescription(head: Owed, start: number, end: number): boolean {
    const shared = this.#shared
    const { bytes } = shared.fromTarget
    if (head.kind === 'describe') {
      head.target.description = Buffer.from(bytes.subarray(start, end))
      shared.names.wasDescribed(end - start)
      head.target.described = head.at
      this.#passNames(head.isOwn, start, end)
      shared.owed.shift()
      this.#lift(head)
      return true
    }
    if (head.kind !== 'query') throw unexpected(Backend.RowDescription)
    const { run } = head
    const masker = run.obligations.masker
    if (run.isDescribed) {
      // A rule of the database gives one statement several results.
      run.isDescribed = false
      run.isPlanned = false
    }
    if (masker === undefined || run.isCut) {
      run.isPlanned = true
    } else if (!run.isPlanned) {
      const request: PlanRequest = {
        statement: run.facts.statements[head.statement],
        description: bytes.subarray(start, end),
        formats: NO_FORMATS,
        masker,
        catalogTrust: shared.catalogTrust,
      }
      const isReady = this.#plan(request, (plan) => {
        run.plan = plan
        run.isPlanned = true
      })
      if (!isReady) return false
    }
    run.isDescribed = true
    if (run.isCut) {
      shared.fromTarget.position = end
      return true
    }
    this.#record(run)
    this.#passNames(false, start, end)
    return true
  }

  /** Makes the plan of a portal's rows. Returns whether anything moved: the row still stands at the reader. */
  #planPortal(run: Run): boolean {
    const target = run.described
    const masker = run.obligations.masker
    if (target === undefined || masker === undefined) throw unexpected(Backend.DataRow)
    const own = target.description
    const inherited = 'inherited' in target ? target.inherited : undefined
    const description = own ?? inherited
    if (description === undefined || description === 'none') {
      throw this.#shared.upstreamViolation('the target sent rows of a portal that returns none')
    }
    const formats = own === undefined && 'resultFormats' in target ? target.resultFormats : NO_FORMATS
    const statement = run.facts.statements.length === 1 ? run.facts.statements[0] : undefined
    const { catalogTrust } = this.#shared
    return this.#plan({ statement, description, formats, masker, catalogTrust }, (plan) => {
      run.plan = plan
      run.isPlanned = true
    })
  }

  /** Calls `accept` with the plan, at once where that is possible. Returns whether it was. */
  #plan(request: PlanRequest, accept: (plan: RowPlan | undefined) => void): boolean {
    const { plans, context, events } = this.#shared
    const nowUnixMs = context.clock.nowUnixMs()
    const found = plans.find(request, nowUnixMs)
    if (found !== 'unknown') {
      accept(found)
      return true
    }
    const { epoch } = plans
    const { oids, names } = neededLookUps(request)
    if (oids.length === 0 && names.length === 0) {
      accept(plans.make(request, [], { epoch, nowUnixMs }))
      return true
    }
    const kept = { ...request, description: Buffer.from(request.description) }
    this.#resolving = {
      accept: (relations) => accept(plans.make(kept, relations, { epoch, nowUnixMs: context.clock.nowUnixMs() })),
    }
    events.push({ type: 'resolve', oids, names })
    return false
  }

  /** 'C': String tag. 'I' and 's': nothing. */
  #complete(head: Owed, type: number, start: number, end: number): boolean {
    const shared = this.#shared
    if (head.kind !== 'query' && head.kind !== 'execute') throw unexpected(type)
    const { run } = head
    if (type === Backend.CommandComplete) this.#statementCompleted(head, start, end)
    run.plan = undefined
    run.copyMasker = undefined
    this.#pass(run.isCut, start, end)
    if (head.kind === 'query') {
      run.isPlanned = false
      run.isDescribed = false
      return true
    }
    if (run.obligations.masker !== undefined) this.#segmentMasker = run.obligations.masker
    if (run.isCut) {
      // A refusal of our own stands behind it, and undoes it.
      shared.answerRun(run, 'failed', CUT_CODE, run.cutAt)
    } else if (type === Backend.PortalSuspended) {
      run.isSuspended = true
      run.isPlanned = false
    } else {
      shared.answerRun(run, 'completed')
    }
    this.#stopRecording(run)
    shared.owed.shift()
    this.#lift(head)
    return true
  }

  #statementCompleted(head: Extract<Owed, { kind: 'query' | 'execute' }>, start: number, end: number): void {
    const { run } = head
    run.tags.push(decodeCommandComplete(this.#shared.fromTarget.bytes, start, end))
    const statement = run.facts.statements[head.kind === 'query' ? head.statement++ : 0]
    if (statement !== undefined) {
      this.#completed(statement, head.kind === 'execute' ? head.portal : undefined)
    } else {
      // Fails closed: nobody knows what it did.
      this.#shared.state.apply({ kind: 'unknown' })
      this.#shared.isCatalogStale = true
      this.#shared.catalogChanged()
    }
  }

  #completed(statement: SqlStatementFacts, portal: Portal | undefined): void {
    const { names, state } = this.#shared
    if (statement.effects.length > 0) {
      for (const effect of statement.effects) {
        state.apply(effect)
        const closed = names.apply(effect, portal?.text ?? statement.verb, state.current, portal)
        for (const one of closed) this.#shared.portalEnded(one)
      }
    }
    switch (statement.transaction) {
      case 'commit':
      case 'rollback':
      case 'prepare':
        // AND CHAIN, or a BEGIN in the same Query: no ReadyForQuery tells that there was an end.
        state.transactionEnded()
        state.transactionSerial++
        break
      case 'rollback-to':
        state.transactionEnded()
        break
      default:
        break
    }
    this.#shared.catalogTrust = catalogTrustAfter(statement, this.#shared.catalogTrust)
    if (statement.class === 'ddl' || statement.class === 'procedural' || statement.class === 'unknown') {
      this.#shared.isCatalogStale = true
      this.#shared.catalogChanged()
    }
  }

  /** 'Z': Byte status. */
  #readyForQuery(start: number, end: number): boolean {
    const shared = this.#shared
    const letter = decodeReadyForQuery(shared.fromTarget.bytes, start, end)
    const head = shared.owed.peek()
    if (head === undefined) throw unexpected(Backend.ReadyForQuery)
    let isOwn = false
    switch (head.kind) {
      case 'query':
        this.#dropUnnamed(head.unnamed.statement, head.statement > 0 ? head.unnamed.portal : undefined)
        // What was cut may have come to its end all the same: the record says so.
        if (!head.hasFailed && head.run.isCut) shared.answerRun(head.run, 'completed', CUT_CODE, head.run.cutAt)
        else if (!head.hasFailed) shared.answerRun(head.run, 'completed')
        this.#stopRecording(head.run)
        break
      case 'function':
        if (!head.hasFailed) shared.answerRun(head.run, 'completed')
        break
      case 'sync':
        // Where describing a COPY failed, its error was told as the command's, and this belongs to it.
        if (!head.isOwn) shared.segmentsAnswered++
        isOwn = head.isOwn && !this.#isOwnErrorTold
        this.#isOwnErrorTold = false
        break
      case 'refusal':
        if (!head.isSimple || !head.isTold) throw unexpected(Backend.ReadyForQuery)
        break
      default:
        throw unexpected(Backend.ReadyForQuery)
    }
    this.#isSwallowing = false
    this.#segmentMasker = undefined
    shared.owed.shift()
    shared.copyIn = undefined
    shared.state.ready(letter === 'I' ? 'idle' : letter === 'T' ? 'transaction' : 'failed')
    if (letter === 'I') this.#dropPortals()
    if (letter === 'I') shared.catalogTrust = 'all'
    if (letter === 'I' && shared.isCatalogStale) {
      shared.isCatalogStale = false
      shared.catalogChanged()
    }
    if (shared.pendingChange === head) shared.pendingChange = undefined
    this.#pass(isOwn, start, end)
    this.#lift(head)
    return true
  }

  #isOwnErrorTold = false

  /** What a Query did away with, unless a message behind it has made it anew. */
  #dropUnnamed(statement: Statement | undefined, portal: Portal | undefined): void {
    const { statements, portals } = this.#shared.names
    if (statement !== undefined && statements.get('') === statement) statements.delete('')
    if (portal === undefined || portals.get('') !== portal) return
    portals.delete('')
    this.#shared.portalEnded(portal)
  }

  /** The end of a transaction is the end of its portals. */
  #dropPortals(): void {
    const shared = this.#shared
    if (shared.names.portals.size === 0) return
    // What is bound in a segment behind this one is not of this transaction.
    const ended = shared.names.portals.deleteWhere((_name, portal) => portal.isBound && !portal.survivesTransaction)
    for (const portal of ended) shared.portalEnded(portal)
  }

  /** 'E': fields. */
  #error(start: number, end: number): boolean {
    const shared = this.#shared
    const { bytes } = shared.fromTarget
    const fields = decodeErrorFields(bytes, start, end)
    shared.meaningMayHaveChanged()
    const isFatal = fields.V === 'FATAL' || fields.V === 'PANIC' || fields.S === 'FATAL' || fields.S === 'PANIC'
    const head = shared.owed.peek()
    const masked = this.#maskText(bytes, start, end)
    let response: Buffer | undefined
    let isSwallowed = this.#isSwallowing && !isFatal
    if (!isFatal && head?.kind === 'refusal') {
      response = head.response
    }
    const code = fields.C
    const message = masked === undefined ? fields.M : decodeErrorFields(masked, 5, masked.length).M
    if (head !== undefined && 'run' in head) {
      if (head.run.isCut && !isFatal) isSwallowed = true
      if (head.run.isCut) shared.answerRun(head.run, 'failed', CUT_CODE, head.run.cutAt)
      else shared.answerRun(head.run, 'failed', code, message)
      this.#stopRecording(head.run)
    }
    if (!isSwallowed) {
      if (response !== undefined) shared.toClient.send(response)
      else if (masked !== undefined) shared.toClient.send(masked)
      else shared.toClient.forward(bytes, start - 5, end)
    }
    shared.fromTarget.position = end
    shared.copyIn = undefined
    shared.state.failed()
    if (head === undefined) {
      if (!isFatal) throw unexpected(Backend.ErrorResponse)
      return true
    }
    switch (head.kind) {
      case 'query':
      case 'function':
        head.hasFailed = true
        head.run.plan = undefined
        break
      case 'sync':
        // An error at the very end, such as a deferred constraint: ReadyForQuery still follows.
        break
      case 'refusal':
        head.isTold = true
        if (head.isSimple) break
        this.#failPipeline(code, message)
        break
      default:
        if ('isOwn' in head && head.isOwn) this.#isOwnErrorTold = true
        this.#failPipeline(code, message)
    }
    return true
  }

  /** The target ignores everything up to the next Sync: so does the client's half, if that Sync has not come yet. */
  #failPipeline(code: string | undefined, message: string | undefined): void {
    const shared = this.#shared
    const dropped: Owed[] = []
    let isFirst = true
    for (let head = shared.owed.peek(); head !== undefined && head.kind !== 'sync'; head = shared.owed.peek()) {
      shared.owed.shift()
      dropped.push(head)
      if (isFirst && head.kind === 'parse' && !head.isOwn) {
        shared.answer(head.commandId, {
          outcome: 'failed',
          tags: [],
          rows: 0,
          bytes: 0,
          ...(code === undefined ? {} : { errorCode: code }),
          ...(message === undefined ? {} : { errorMessage: message }),
        })
      } else if (isFirst && head.kind === 'bind') {
        shared.answerRun(head.portal.run, 'failed', code, message)
      } else {
        shared.interrupt(head)
      }
      isFirst = false
      this.#lift(head)
    }
    const hasSync = shared.owed.length > 0
    if (shared.pendingChange !== undefined && dropped.includes(shared.pendingChange)) {
      // Its ReadyForQuery will not come: the next one has the news.
      shared.pendingChange = shared.owed.peek()
      if (!hasSync) shared.hasOpenChange = true
    }
    this.#undo(dropped)
    if (!hasSync) {
      shared.isDiscarding = true
      if (shared.awaitingId !== undefined) shared.events.push({ type: 'withdraw', commandId: shared.awaitingId })
    }
  }

  /** Takes back what the names of dropped messages were thought to stand for, newest first. */
  #undo(dropped: readonly Owed[]): void {
    for (let i = dropped.length - 1; i >= 0; i--) {
      const owed = dropped[i] as Owed
      // The first one failed: the server had done away with an unnamed statement or portal before it. The others it never saw.
      const wasSeen = i === 0
      switch (owed.kind) {
        case 'parse':
          if (!owed.isOwn) this.#restoreStatement(owed.name, wasSeen && owed.name === '' ? undefined : owed.previous)
          break
        case 'bind':
          if (wasSeen && owed.name === '') {
            this.#restorePortal(owed.name, undefined)
            this.#shared.portalEnded(owed.previous)
          } else {
            this.#restorePortal(owed.name, owed.previous)
          }
          this.#shared.answerRun(owed.portal.run, 'interrupted')
          break
        case 'close-statement':
          if (!wasSeen && !owed.isOwn) this.#restoreStatement(owed.name, owed.previous)
          break
        case 'close-portal':
          if (!wasSeen && !owed.isOwn) this.#restorePortal(owed.name, owed.previous)
          break
        default:
          break
      }
    }
  }

  /**
   * The name still stands for this. INVARIANT: where a message of a later segment has given it another meaning already,
   * that one counts, and this is what it has to fall back on.
   */
  #restoreStatement(name: string, statement: Statement | undefined): void {
    const { owed, names } = this.#shared
    for (let i = 0; i < owed.length; i++) {
      const item = owed.at(i) as Owed
      if ((item.kind === 'parse' || item.kind === 'close-statement') && !item.isOwn && item.name === name) {
        item.previous = statement
        return
      }
    }
    if (statement === undefined) names.statements.delete(name)
    else names.statements.set(name, statement)
  }

  /** @see #restoreStatement */
  #restorePortal(name: string, portal: Portal | undefined): void {
    const { owed, names } = this.#shared
    for (let i = 0; i < owed.length; i++) {
      const item = owed.at(i) as Owed
      const isSame = item.kind === 'bind' || (item.kind === 'close-portal' && !item.isOwn)
      if (isSame && item.name === name) {
        item.previous = portal
        return
      }
    }
    if (portal === undefined) names.portals.delete(name)
    else names.portals.set(name, portal)
  }

  /** 'G': Byte format, Int16 count, Int16 formats. */
  #copyIn(head: Owed, start: number, end: number): boolean {
    const shared = this.#shared
    if (head.kind !== 'query' && head.kind !== 'execute') throw unexpected(Backend.CopyInResponse)
    decodeCopyResponse(shared.fromTarget.bytes, start, end)
    // While data comes in the server ignores Sync and takes offence at all else: nothing was sent behind this.
    if (shared.barrier !== head || shared.owed.length > 1) throw unexpected(Backend.CopyInResponse)
    shared.copyIn = head.run
    this.#pass(false, start, end)
    return true
  }

  /** 'H': Byte format, Int16 count, Int16 formats. */
  #copyOut(head: Owed, start: number, end: number): boolean {
    const shared = this.#shared
    if (head.kind !== 'query' && head.kind !== 'execute') throw unexpected(Backend.CopyOutResponse)
    const { run } = head
    const masker = run.obligations.masker
    if (masker !== undefined && run.copyMasker === undefined && !run.isPlanned) {
      const response = decodeCopyResponse(shared.fromTarget.bytes, start, end)
      const copy = run.facts.statements[head.kind === 'query' ? head.statement : 0]?.copy
      const format = response.overallFormat === 1 ? 'binary' : copy?.format === 'csv' ? 'csv' : 'text'
      const accept = (plan: RowPlan | undefined): void => {
        run.isPlanned = true
        // A header line has names, also where no column has a mask.
        const masksHeader = format !== 'binary' && copy?.header === true && shared.textMasker !== undefined
        if (plan === undefined && !masksHeader) return
        run.copyMasker = createCopyMasker({
          format,
          header: copy?.header ?? false,
          delimiter: copy?.delimiter ?? '\t',
          nullText: copy?.nullText ?? '\\N',
          quote: copy?.quote ?? '"',
          escape: copy?.escape ?? '"',
          plan: plan ?? response.columnFormats.map(() => undefined),
          maxRowBytes: shared.limits.maxMaskedRowBytes,
          ...(shared.textMasker === undefined ? {} : { headerMasker: shared.textMasker }),
        })
      }
      const description = run.described?.description
      if (description === undefined || description === 'none') {
        // Fails closed: nobody knows the columns, so each counts as coming from anywhere.
        accept(masker.planRows(response.columnFormats.map((_, index) => unknownColumn(index, format))))
        if (copy === undefined && run.copyMasker !== undefined) {
          throw new SallyportError('internal', 'the format of a COPY is not known and it cannot be masked')
        }
      } else {
        const statement = run.facts.statements[head.kind === 'query' ? head.statement : 0]
        const formats = [format === 'binary' ? 1 : 0]
        const { catalogTrust } = shared
        if (!this.#plan({ statement, description, formats, masker, catalogTrust }, accept)) return false
      }
    }
    this.#record(run)
    this.#pass(run.isCut, start, end)
    return true
  }

  /** 'd': bytes. From the target: COPY TO. */
  #copyData(frameBytes: number): boolean {
    const shared = this.#shared
    if (this.#isSwallowing) return this.#stream.start(frameBytes, true)
    const head = shared.owed.peek()
    if (head === undefined || (head.kind !== 'query' && head.kind !== 'execute')) throw unexpected(Backend.CopyData)
    const { run } = head
    const { obligations } = run
    if (run.isCut) return this.#stream.start(frameBytes, true)
    if (obligations.maxBytes !== undefined && run.bytes + frameBytes > obligations.maxBytes) {
      return this.#cut(run, `${obligations.maxBytes} bytes`)
    }
    // One CopyData message is one row, as every server sends it.
    if (obligations.maxRows !== undefined && run.rows >= obligations.maxRows)
      return this.#cut(run, `${obligations.maxRows} rows`)
    if (run.copyMasker === undefined) return this.#passUnmasked(Backend.CopyData, run, frameBytes)
    this.#checkMaskable(frameBytes)
    const reader = shared.fromTarget
    if (!reader.fill(frameBytes)) return false
    run.rows++
    run.bytes += frameBytes
    const { position } = reader
    this.#sendCopyData((out) => run.copyMasker?.pushTo(reader.bytes, position + 5, position + frameBytes, out))
    reader.position += frameBytes
    return true
  }

  /** 'c': nothing. */
  #copyDone(head: Owed, start: number, end: number): boolean {
    if (head.kind !== 'query' && head.kind !== 'execute') throw unexpected(Backend.CopyDone)
    const { run } = head
    if (run.copyMasker !== undefined && !run.isCut) {
      const rest = run.copyMasker.end()
      this.#sendCopyData((out) => out.append(rest))
    }
    run.copyMasker = undefined
    this.#pass(run.isCut, start, end)
    return true
  }

  /** Writes a CopyData around what is written, or nothing where that is nothing. */
  #sendCopyData(write: (out: ByteWriter) => void): void {
    const out = this.#shared.toClient.writer()
    const start = out.length
    out.u8(Backend.CopyData).i32(0)
    write(out)
    if (out.length === start + 5) out.length = start
    else out.bytes.writeInt32BE(out.length - start - 1, start + 1)
  }

  /** 'V': Int32 length (-1 for NULL), bytes. */
  #functionResponse(head: Owed, start: number, end: number): boolean {
    const shared = this.#shared
    if (head.kind !== 'function') throw unexpected(Backend.FunctionCallResponse)
    const { bytes } = shared.fromTarget
    const masker = head.run.obligations.masker ?? undefined
    const length = end - start >= 4 ? bytes.readInt32BE(start) : -2
    if (length < -1 || (length === -1 ? 0 : length) !== end - start - 4) {
      throw shared.upstreamViolation('the target sent a malformed FunctionCallResponse')
    }
    head.run.rows = 1
    head.run.bytes = end - start
    const mask = length === -1 ? undefined : masker?.planRows([unknownColumn(0, 'text')])?.[0]
    if (mask === undefined) {
      this.#pass(false, start, end)
      return true
    }
    const cell = new ByteWriter()
    const result = mask.apply(bytes, start + 4, end, cell)
    if (result === CELL_UNCHANGED) {
      this.#pass(false, start, end)
      return true
    }
    const isNull = result === CELL_NULL
    const out = shared.toClient.writer().u8(Backend.FunctionCallResponse)
    out.i32(8 + (isNull ? 0 : cell.length)).i32(isNull ? -1 : cell.length)
    if (!isNull) out.append(cell.view())
    shared.fromTarget.position = end
    return true
  }

  /** Ends a result at its cap: the client gets an error where the next row would stand. */
  #cut(run: Run, what: string): boolean {
    const shared = this.#shared
    run.isCut = true
    run.cutAt = `the result was cut at ${what}`
    this.#stopRecording(run)
    // What only reads has ended here. Of the rest the record is to say how it really ended.
    if (run.facts.class === 'read') shared.answerRun(run, 'failed', CUT_CODE, run.cutAt)
    shared.toClient.send(denialResponse({ reason: 'limit', message: run.cutAt }, 'ERROR'))
    shared.events.push({ type: 'cancelUpstream' })
    this.#isSwallowing = shared.owed.peek()?.kind === 'query'
    if (this.#isSwallowing) return true
    // The client has been told of an error. Where the server is done before it is cancelled, this makes it true.
    shared.isDiscarding = true
    shared.toTarget.send(parse(RESERVED_STATEMENT, REFUSED_TEXT))
    shared.toTarget.send(flush())
    shared.owed.push({ kind: 'refusal', response: NOTHING, isSimple: false, isTold: false })
    return true
  }

  /** Passes the column names, in which a value may hide as well. */
  #passNames(isSwallowed: boolean, start: number, end: number): void {
    const shared = this.#shared
    const { bytes } = shared.fromTarget
    const masked = isSwallowed ? undefined : this.#maskNames(bytes, start, end)
    if (masked === undefined) {
      this.#pass(isSwallowed, start, end)
    } else {
      shared.toClient.send(masked)
      shared.fromTarget.position = end
    }
  }

  #maskNames(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const masker = this.#shared.textMasker
    if (masker === undefined) return undefined
    // One look over all names at once: what stands around each is no part of any value.
    const names = bytes.subarray(start + 2, end)
    return masker.maskText(names) === names ? undefined : maskRowDescriptionNames(bytes, start, end, masker)
  }

  #settle(isOwn: boolean, start: number, end: number): boolean {
    const head = this.#shared.owed.shift()
    this.#pass(isOwn, start, end)
    if (head !== undefined) this.#lift(head)
    return true
  }

  #pass(isSwallowed: boolean, start: number, end: number): void {
    const shared = this.#shared
    if (!isSwallowed) shared.toClient.forward(shared.fromTarget.bytes, start - 5, end)
    shared.fromTarget.position = end
  }

  #lift(owed: Owed): void {
    if (this.#shared.barrier === owed) this.#shared.barrier = undefined
  }

  /** Lets rows pass that no mask concerns: all that stand whole in the window, or this one as far as it is there. */
  #passUnmasked(type: number, run: Run, frameBytes: number): true {
    const reader = this.#shared.fromTarget
    const before = reader.position
    // At a cap each row is looked at by itself.
    if (!isCapped(run)) this.#passWhole(type, run)
    if (reader.position > before) return true
    run.rows++
    run.bytes += frameBytes
    return this.#stream.start(frameBytes, false)
  }

  #checkMaskable(frameBytes: number): void {
    if (frameBytes <= this.#shared.limits.maxMaskedRowBytes) return
    throw new SallyportError('limit_exceeded', `a row of ${frameBytes} bytes is too long to be masked`, {
      blame: 'upstream',
    })
  }

  /** Lets all messages of this type pass that stand whole in the window: where most of the bytes of most results go by. */
  #passWhole(type: number, run: Run): void {
    const reader = this.#shared.fromTarget
    const { bytes, limit } = reader
    const start = reader.position
    let at = start
    let rows = 0
    while (limit - at >= 5 && bytes[at] === type) {
      const length = bytes.readInt32BE(at + 1)
      if (length < 4 || length >= limit - at) break
      at += length + 1
      rows++
    }
    if (rows === 0) return
    this.#shared.toClient.forward(bytes, start, at)
    reader.position = at
    run.rows += rows
    run.bytes += at - start
  }

  #record(run: Run): void {
    if (run.obligations.recordLevel !== 'full' || this.#recorded === run) return
    this.flush()
    this.#recorded = run
  }

  #stopRecording(run: Run): void {
    if (this.#recorded !== run) return
    this.flush()
    this.#recorded = undefined
  }
}

/** The run whose messages stand before this answer. Planning at Bind already evaluates what does not change. */
function runOf(head: Owed): Run | undefined {
  return head.kind === 'bind' ? head.portal.run : 'run' in head ? head.run : undefined
}

function isCapped({ obligations }: Run): boolean {
  return obligations.maxRows !== undefined || obligations.maxBytes !== undefined
}

function unexpected(type: number): SallyportError {
  return new SallyportError(
    'upstream_protocol_violation',
    `the target sent message type \`${String.fromCharCode(type)}\` unasked`,
  )
}

function unknownColumn(index: number, format: 'text' | 'csv' | 'binary'): ResultColumn {
  return {
    name: `column ${index + 1}`,
    type: format === 'binary' ? 0 : 25,
    format: format === 'binary' ? 'binary' : 'text',
    sources: 'unknown',
  }
}

function joinMaskers(first: TextMasker | undefined, second: TextMasker | undefined): TextMasker | undefined {
  if (first === undefined || first === second) return second
  if (second === undefined) return first
  return { maskText: (text) => second.maskText(first.maskText(text)) }
}
