import { isUtf8 } from 'node:buffer'
import {
  ChunkReader,
  type CommandAnswer,
  type Denial,
  Fifo,
  type Obligations,
  otherSide,
  Outbox,
  SallyportError,
  type Side,
} from '../../../core/index.js'
import { denialText } from '../files/denial-text.js'
import type { FileChannelEvent, FileMachine } from '../files/events.js'
import type { ResolvedPath } from '../files/paths.js'
import { masksStreams, TransferMeter } from '../files/transfer-meter.js'
import { describeRecord, type NamedRecord } from './describe.js'
import { scpLimitsOf, type ScpLimits, type ScpMachineOptions } from './options.js'
import { parseScpRecord } from './records.js'
import { ScpPaths } from './scp-paths.js'

const OK = Buffer.from([0x00])
const NEWLINE = 0x0a
const MAX_EVENTS = 64
/** Of an error text that goes on record. */
const MAX_ERROR_CHARACTERS = 512
const NO_OBLIGATIONS: Obligations = Object.freeze({})

/**
 * `greeting`: the receiver says that it is there. `record`: the sender names a file. `verdict`: it is judged. `times`: its
 * times were handed on, before it. `accepting`: the receiver says whether it takes it. `content`, `trailer`: the sender sends
 * it, then whether it could read it all. `storing`: the receiver says whether it could write it all.
 */
type Phase = 'greeting' | 'record' | 'verdict' | 'times' | 'accepting' | 'content' | 'trailer' | 'storing'

/** The record that the phases after `record` are about. */
interface Current {
  readonly record: NamedRecord | undefined
  readonly candidates: readonly ResolvedPath[]
  readonly commandId: number
  readonly via: string
  /** At the front of the sender's bytes until it is handed on. */
  readonly lineBytes: number
  obligations: Obligations
  meter: TransferMeter | undefined
  left: number
  failure: string | undefined
}

/** The receiver's word on what it was sent. */
interface Response {
  /** Undefined: yes. */
  readonly problem: string | undefined
  readonly start: number
  readonly end: number
}

/**
 * One legacy scp (`scp -f`, `scp -t`) as a pure state machine. The same conversation goes on in both directions, with sender
 * and receiver in exchanged places.
 *
 * A refused file is answered with 0x01 and a text, as a receiver does that cannot make it: the sender goes on to its next
 * one. Where the target is the sender, the client is told by an error record in the file's place. Times (`T`) are kept back
 * until the file they are for is permitted, so that they never end up with another.
 */
export class ScpMachine implements FileMachine {
  readonly #events = new Fifo<FileChannelEvent>()
  readonly #options: ScpMachineOptions
  readonly #limits: ScpLimits
  readonly #paths: ScpPaths
  readonly #sender: Side
  readonly #fromSender = new ChunkReader()
  readonly #fromReceiver = new ChunkReader()
  readonly #toSender: Outbox
  readonly #toReceiver: Outbox
  #phase: Phase = 'greeting'
  #current: Current | undefined
  #times: Buffer | undefined
  #isClosed = false
  #hasClientEnded = false
  #hasServerEnded = false

  constructor(options: ScpMachineOptions) {
    this.#options = options
    this.#limits = scpLimitsOf(options)
    this.#paths = new ScpPaths(options.command)
    this.#sender = options.command.mode === 'sink' ? 'downstream' : 'upstream'
    this.#toSender = new Outbox(this.#sender, this.#events)
    this.#toReceiver = new Outbox(otherSide(this.#sender), this.#events)
  }

  receive(from: Side, chunk: Uint8Array, isLent = false): void {
    if (this.#isClosed) return
    if (from === this.#sender) this.#fromSender.push(chunk, isLent)
    else this.#fromReceiver.push(chunk, isLent)
  }

  next(): FileChannelEvent | undefined {
    const events = this.#events
    for (;;) {
      const event = events.shift()
      if (event !== undefined) return event
      if (this.#isClosed) return undefined
      this.#advance()
      if (events.length > 0) continue
      this.#flush()
      if (events.length > 0) continue
      this.#fromSender.settle()
      this.#fromReceiver.settle()
      return undefined
    }
  }

  permit(commandId: number, obligations: Obligations = NO_OBLIGATIONS): void {
    const current = this.#held(commandId)
    if (current === undefined) return
    current.obligations = obligations
    const denial = this.#obligationDenial(current)
    if (denial !== undefined) {
      this.#events.push({ type: 'refused', via: current.via, denial })
      this.#decline(current.lineBytes, denial)
      this.#answer(current, { outcome: 'failed', tags: [], rows: 0, bytes: 0, errorMessage: denial.message })
      this.#current = undefined
      return
    }
    if (this.#times === undefined) this.#handOn(current)
    else {
      this.#toReceiver.send(this.#times)
      this.#times = undefined
      this.#phase = 'times'
    }
  }

  refuse(commandId: number, denial: Denial): void {
    const current = this.#held(commandId)
    if (current === undefined) return
    this.#current = undefined
    this.#decline(current.lineBytes, denial)
  }

  end(from: Side): void {
    if (from === 'downstream') this.#hasClientEnded = true
    else this.#hasServerEnded = true
  }

  abandon(error?: SallyportError): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#flush()
    const current = this.#current
    if (current !== undefined && this.#phase === 'verdict') {
      this.#events.push({ type: 'withdraw', commandId: current.commandId })
    } else if (current?.record !== undefined) {
      this.#finish(current, 'interrupted', undefined)
    }
    this.#current = undefined
    this.#fromSender.clear()
    this.#fromReceiver.clear()
    this.#events.push(error === undefined ? { type: 'close' } : { type: 'close', error })
  }

  wantsRead(from: Side): boolean {
    if (this.#isClosed) return false
    const reader = from === this.#sender ? this.#fromSender : this.#fromReceiver
    return reader.available < Math.max(this.#limits.maxWaitingBytes, this.#limits.maxLineBytes)
  }

  #held(commandId: number): Current | undefined {
    if (this.#isClosed) return undefined
    const current = this.#current
    if (this.#phase === 'verdict' && current?.commandId === commandId) return current
    throw new SallyportError('misuse', `command ${commandId} does not wait for a verdict`)
  }

  /** Fails closed: what is to be masked, and cannot be, is not fetched. */
  #obligationDenial({ record, obligations }: Current): Denial | undefined {
    if (record?.type !== 'file') return undefined
    const { maxBytes } = obligations
    if (maxBytes !== undefined && record.size > maxBytes) {
      return { reason: 'limit', message: `more than ${maxBytes} bytes of one file may not pass` }
    }
    const isAsked = this.#sender === 'upstream' && this.#options.maskedReads !== 'pass'
    try {
      if (!masksStreams(obligations) || !isAsked) return undefined
      return { reason: 'masking', message: 'files with values to be masked cannot be fetched' }
    } catch {
      return { reason: 'masking', message: 'the masks for this file cannot be applied' }
    }
  }

  #advance(): void {
    try {
      while (!this.#isClosed && this.#events.length < MAX_EVENTS && this.#step());
      if (this.#isClosed || this.#events.length >= MAX_EVENTS) return
      if (this.#hasClientEnded && this.#isStarved('downstream')) {
        this.#hasClientEnded = false
        this.#flush()
        this.#events.push({ type: 'end', to: 'upstream' })
      }
      if (this.#hasServerEnded) {
        this.#flush()
        this.#events.push({ type: 'end', to: 'downstream' })
        this.abandon()
      }
    } catch (cause) {
      this.abandon(
        cause instanceof SallyportError ? cause : new SallyportError('internal', 'the machine failed', { cause }),
      )
    }
  }

  /** Whether what has come of a side is all that can be used of it. */
  #isStarved(side: Side): boolean {
    const isSenderNext = this.#phase === 'record' || this.#phase === 'content' || this.#phase === 'trailer'
    if (side === this.#sender) return isSenderNext || (this.#phase !== 'verdict' && this.#fromSender.available === 0)
    return (!isSenderNext && this.#phase !== 'verdict') || this.#fromReceiver.available === 0
  }

  /** Moves by one step of the conversation. Returns whether anything moved. */
  #step(): boolean {
    switch (this.#phase) {
      case 'verdict':
        return false
      case 'record':
        return this.#record()
      case 'content':
        return this.#content()
      case 'trailer':
        return this.#trailer()
      case 'greeting':
      case 'times':
      case 'accepting':
      case 'storing':
        return this.#response(this.#phase)
    }
  }

  #record(): boolean {
    const reader = this.#fromSender
    const end = this.#lineEnd(reader, this.#sender)
    if (end === undefined) return false
    const lineBytes = end - reader.position
    const record = parseScpRecord(reader.bytes.subarray(reader.position, end - 1))
    if (record === undefined) throw this.#violation(this.#sender, 'a record of scp is none that is known')
    switch (record.type) {
      case 'error':
        this.#times = undefined
        this.#passText(this.#toReceiver, reader, end)
        return true
      case 'times':
        this.#times = Buffer.from(reader.bytes.subarray(reader.position, end))
        reader.position = end
        this.#toSender.send(OK)
        return true
      case 'directory-end':
        if (this.#paths.depth === 0) throw this.#violation(this.#sender, 'a directory ends that has not begun')
        this.#times = undefined
        this.#current = unjudged(lineBytes)
        this.#handOn(this.#current)
        return true
      default:
        return this.#judge(record, lineBytes)
    }
  }

  #judge(record: NamedRecord, lineBytes: number): true {
    const { command, channelId, nextCommandId } = this.#options
    const via = `scp ${record.type}`
    const candidates = record.problem === undefined ? this.#paths.candidates(record.name, record.isUtf8) : []
    const denial = this.#recordDenial(record, candidates)
    if (denial !== undefined) {
      this.#events.push({ type: 'refused', via, denial })
      this.#decline(lineBytes, denial)
      return true
    }
    const commandId = nextCommandId()
    this.#phase = 'verdict'
    this.#current = { ...unjudged(lineBytes), record, candidates, commandId, via }
    this.#events.push({
      type: 'command',
      command: {
        id: commandId,
        protocol: 'ssh',
        ...(channelId === undefined ? {} : { channelId }),
        kind: 'sftp',
        via: 'scp',
        ...describeRecord(record, candidates, command.mode),
      },
    })
    return true
  }

  #recordDenial(record: NamedRecord, candidates: readonly ResolvedPath[]): Denial | undefined {
    const unsupported = (message: string): Denial => ({ reason: 'unsupported', message })
    if (record.problem !== undefined) return unsupported(record.problem)
    if (record.type === 'directory' && !this.#options.command.isRecursive) {
      return unsupported('a directory was not asked for')
    }
    if (candidates.length === 0) return unsupported('the file is not one that was asked for')
    const longest = Math.max(...candidates.map(({ path }) => Buffer.byteLength(path)))
    if (longest <= this.#limits.maxPathBytes) return undefined
    return { reason: 'limit', message: `a path has more than ${this.#limits.maxPathBytes} bytes` }
  }

  /** Takes the record at the front away and says no in the receiver's place. */
  #decline(lineBytes: number, denial: Denial): void {
    const text = Buffer.from(`\u0001scp: ${denialText(denial)}\n`)
    this.#fromSender.position += lineBytes
    this.#times = undefined
    this.#phase = 'record'
    this.#toSender.send(text)
    if (this.#sender === 'upstream') this.#toReceiver.send(text)
  }

  #handOn(current: Current): void {
    const reader = this.#fromSender
    this.#toReceiver.forward(reader.bytes, reader.position, reader.position + current.lineBytes)
    reader.position += current.lineBytes
    this.#phase = 'accepting'
  }

  #content(): boolean {
    const current = this.#current as Current
    const reader = this.#fromSender
    if (current.left === 0) {
      this.#phase = 'trailer'
      return true
    }
    if (!reader.advance()) return false
    const start = reader.position
    const end = Math.min(start + current.left, reader.limit)
    if (end === start) return false
    current.left -= end - start
    reader.position = end
    this.#toReceiver.forward(reader.bytes, start, end)
    const content = current.meter?.push(reader.bytes.subarray(start, end))
    if (content !== undefined) this.#events.push(content)
    return true
  }

  #trailer(): boolean {
    const reader = this.#fromSender
    const response = this.#readResponse(reader, this.#sender)
    if (response === undefined) return false
    const current = this.#current as Current
    current.failure = response.problem
    this.#passResponse(this.#toReceiver, reader, response)
    this.#phase = 'storing'
    return true
  }

  #response(phase: 'greeting' | 'times' | 'accepting' | 'storing'): boolean {
    const reader = this.#fromReceiver
    const response = this.#readResponse(reader, otherSide(this.#sender))
    if (response === undefined) return false
    const { problem } = response
    const current = this.#current
    if (phase === 'times' && problem === undefined && current !== undefined) {
      // The sender has had our own word on its times.
      reader.position = response.end
      this.#handOn(current)
      return true
    }
    this.#passResponse(this.#toSender, reader, response)
    if (phase === 'times' && current !== undefined) this.#fromSender.position += current.lineBytes
    if (phase === 'greeting' || current === undefined) this.#phase = 'record'
    else if (problem !== undefined) this.#done(current, problem)
    else if (phase === 'accepting') this.#accepted(current)
    else this.#done(current, current.failure)
    return true
  }

  #accepted(current: Current): void {
    const { record } = current
    if (record?.type === 'file') {
      const path = current.candidates[0]?.path ?? ''
      const direction = this.#sender === 'downstream' ? 'write' : 'read'
      current.meter = new TransferMeter(current.commandId, direction, path, current.obligations)
      current.meter.begin(0)
      current.left = record.size
      this.#phase = 'content'
      return
    }
    if (record === undefined) this.#paths.leave()
    else this.#paths.enter(current.candidates)
    this.#done(current, undefined)
  }

  #done(current: Current, problem: string | undefined): void {
    this.#current = undefined
    this.#phase = 'record'
    if (current.record !== undefined) this.#finish(current, problem === undefined ? 'completed' : 'failed', problem)
  }

  #finish(current: Current, outcome: CommandAnswer['outcome'], problem: string | undefined): void {
    const { meter, record, left } = current
    if (meter !== undefined) for (const event of meter.finish()) this.#events.push(event)
    this.#answer(current, {
      outcome,
      tags: [],
      rows: 0,
      bytes: meter === undefined || record === undefined ? 0 : record.size - left,
      ...(problem === undefined ? {} : { errorMessage: problem }),
    })
  }

  #answer({ commandId }: Current, answer: CommandAnswer): void {
    this.#events.push({ type: 'answer', commandId, answer })
  }

  /** 0x00, or 0x01 or 0x02 and a line of text. */
  #readResponse(reader: ChunkReader, side: Side): Response | undefined {
    if (!reader.fill(1)) return undefined
    const start = reader.position
    const first = reader.bytes[start]
    if (first === 0x00) return { problem: undefined, start, end: start + 1 }
    if (first !== 0x01 && first !== 0x02) throw this.#violation(side, 'expected 0x00, 0x01 or 0x02 of scp')
    const end = this.#lineEnd(reader, side)
    if (end === undefined) return undefined
    const text = this.#masked(side, reader.bytes.subarray(reader.position + 1, end - 1))
    const problem = isUtf8(text) ? Buffer.from(text).toString('utf8') : ''
    return { problem: problem.slice(0, MAX_ERROR_CHARACTERS), start: reader.position, end }
  }

  #passResponse(to: Outbox, reader: ChunkReader, response: Response): void {
    if (response.problem !== undefined) {
      this.#passText(to, reader, response.end)
      return
    }
    to.forward(reader.bytes, response.start, response.end)
    reader.position = response.end
  }

  /** Lets an error line pass, masked where it comes from the target. */
  #passText(to: Outbox, reader: ChunkReader, end: number): void {
    const { bytes, position } = reader
    const text = bytes.subarray(position + 1, end - 1)
    const masked = this.#masked(reader === this.#fromSender ? this.#sender : otherSide(this.#sender), text)
    if (masked === text) to.forward(bytes, position, end)
    else to.send(Buffer.concat([bytes.subarray(position, position + 1), masked, bytes.subarray(end - 1, end)]))
    reader.position = end
  }

  #masked(side: Side, text: Uint8Array): Uint8Array {
    if (side === 'downstream') return text
    let masked = text
    for (const masker of [this.#options.textMasker, this.#current?.obligations.masker]) {
      if (masker !== undefined) masked = masker.maskText(masked)
    }
    return masked
  }

  /** Behind the newline; undefined until it has come. */
  #lineEnd(reader: ChunkReader, side: Side): number | undefined {
    const { maxLineBytes } = this.#limits
    if (reader.available === 0) return undefined
    reader.fill(Math.min(reader.available, maxLineBytes))
    const window = reader.bytes.subarray(reader.position, Math.min(reader.limit, reader.position + maxLineBytes))
    const newline = window.indexOf(NEWLINE)
    if (newline !== -1) return reader.position + newline + 1
    if (window.length < maxLineBytes) return undefined
    throw new SallyportError('limit_exceeded', `a line of scp has more than ${maxLineBytes} bytes`, { blame: side })
  }

  #violation(side: Side, message: string): SallyportError {
    return new SallyportError(side === 'upstream' ? 'upstream_protocol_violation' : 'protocol_violation', message)
  }

  #flush(): void {
    while (!this.#toSender.isEmpty) this.#toSender.flush()
    while (!this.#toReceiver.isEmpty) this.#toReceiver.flush()
  }
}

function unjudged(lineBytes: number): Current {
  return {
    record: undefined,
    candidates: [],
    commandId: 0,
    via: 'scp',
    lineBytes,
    obligations: NO_OBLIGATIONS,
    meter: undefined,
    left: 0,
    failure: undefined,
  }
}

export function createScpMachine(options: ScpMachineOptions): FileMachine {
  return new ScpMachine(options)
}
