import { isUtf8 } from 'node:buffer'
import { createHash, createHmac } from 'node:crypto'
import { ByteWriter } from '../core/index.js'
import type { BoundValue, Command, PolicyOutcome, ReasonCode, SqlCommand, SqlFacts, TextMasker } from '../core/index.js'
import { textCommitment, type CommandEvent } from '../recording/index.js'
import { otherCommandEvent, otherCommitments } from './recorded-detail.js'

/** Bytes of a binary value that are recorded as they are, so that a line stays readable; of more, length and hash are too. */
const MAX_BINARY_BYTES = 64

const NO_PARAMETERS: readonly (string | null)[] = Object.freeze([])

/**
 * A statement on its way to the record. Text and values are masked when they are asked for: many commands at a time, when
 * the session has nothing else to do.
 */
class SqlCommandEvent implements CommandEvent {
  readonly type = 'command' as const
  readonly atUnixMs: number
  readonly verdict: PolicyOutcome
  readonly permitted: boolean
  readonly sizeHint: number
  refusal?: ReasonCode
  holdId?: string
  readonly #describer: CommandDescriber
  readonly #command: SqlCommand

  constructor(
    describer: CommandDescriber,
    command: SqlCommand,
    verdict: PolicyOutcome,
    permitted: boolean,
    atUnixMs: number,
  ) {
    const { parameters } = command
    let size = command.text.length
    for (let i = 0; i < parameters.length; i++) size += (parameters[i]?.bytes?.length ?? 0) + 3
    this.atUnixMs = atUnixMs
    this.verdict = verdict
    this.permitted = permitted
    this.sizeHint = size
    this.#describer = describer
    this.#command = command
  }

  get id(): number {
    return this.#command.id
  }

  get kind(): 'sql' {
    return 'sql'
  }

  get via(): string {
    return this.#command.via
  }

  get phase(): string {
    return this.#command.phase
  }

  get text(): string {
    return this.#describer.statement(this.#command.text, this.#command.facts)
  }

  get parameters(): readonly (string | null)[] {
    return this.#describer.values(this.#command.parameters)
  }

  get facts(): SqlFacts {
    return this.#command.facts
  }

  get transaction(): string {
    return this.#command.transaction
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Masks what a record shows of commands. Keeps masked texts by their facts: the same text costs one look-up.
 */
export class CommandDescriber {
  readonly #masker: TextMasker | undefined
  readonly #texts = new WeakMap<SqlFacts, { readonly exact: string; readonly masked: string }>()

  /** @param masker undefined: everything is recorded as it is */
  constructor(masker: TextMasker | undefined) {
    this.#masker = masker
  }

  event(command: Command, verdict: PolicyOutcome, permitted: boolean, atUnixMs: number): Writable<CommandEvent> {
    if (command.kind !== 'sql') {
      return otherCommandEvent({ command, verdict, permitted, atUnixMs, mask: (text) => this.text(text) })
    }
    return new SqlCommandEvent(this, command, verdict, permitted, atUnixMs)
  }

  /** A statement, masked. */
  statement(text: string, facts: SqlFacts): string {
    return this.#masker === undefined ? text : this.#maskedStatement(text, facts)
  }

  /** Bound values, masked, as they are shown. */
  values(parameters: readonly BoundValue[]): readonly (string | null)[] {
    return parameters.length === 0 ? NO_PARAMETERS : this.#parameters(parameters)
  }

  /** Any other text that goes on record. */
  text(text: string): string {
    return this.#masker === undefined ? text : maskString(text, this.#masker)
  }

  #maskedStatement(exact: string, facts: SqlFacts): string {
    const known = this.#texts.get(facts)
    if (known !== undefined && known.exact === exact) return known.masked
    const masked = this.text(exact)
    this.#texts.set(facts, { exact, masked })
    return masked
  }

  #parameters(values: readonly BoundValue[]): (string | null)[] {
    const shown: (string | null)[] = new Array(values.length)
    for (let i = 0; i < values.length; i++) shown[i] = this.#parameter(values[i] as BoundValue)
    return shown
  }

  #parameter(value: BoundValue): string | null {
    if (value.bytes === undefined) return null
    const bytes = bufferOf(value.bytes)
    // Text is not only what says so: most binary forms of text are the text.
    if (isUtf8(bytes)) {
      const masked = this.#masker?.maskText(bytes) ?? bytes
      if (masked !== bytes || value.format === 'text') return bufferOf(masked).toString('utf8')
    } else if (this.#masker !== undefined) {
      const widened = Buffer.from(bytes.toString('latin1'), 'utf8')
      if (this.#masker.maskText(widened) !== widened) return `[masked, ${bytes.length} bytes]`
    }
    return binaryText(bytes)
  }
}

function binaryText(bytes: Buffer): string {
  if (bytes.length <= MAX_BINARY_BYTES) return `\\x${bytes.toString('hex')}`
  const hash = createHash('sha256').update(bytes).digest('hex')
  return `\\x${bytes.toString('hex', 0, MAX_BINARY_BYTES)}... (${bytes.length} bytes, sha256 ${hash})`
}

function maskString(text: string, masker: TextMasker): string {
  const bytes = Buffer.from(text, 'utf8')
  const masked = masker.maskText(bytes)
  return masked === bytes ? text : bufferOf(masked).toString('utf8')
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Whether the record shows something else than this value. */
function isValueMasked(value: BoundValue, shown: string | null | undefined): boolean {
  if (value.bytes === undefined || typeof shown !== 'string') return false
  const bytes = bufferOf(value.bytes)
  return value.format === 'text' && isUtf8(bytes) ? bytes.toString('utf8') !== shown : !shown.startsWith('\\x')
}

/**
 * Commits to what masking took out of a recorded command, so that a claimed exact text can be checked against
 * the record by who holds the key. Undefined when nothing was taken out.
 *
 * @param sessionKey from `commitmentKeyOf`
 */
export function maskedCommitments(
  command: Command,
  event: CommandEvent,
  sessionKey: Uint8Array,
): Readonly<Record<string, string | number>> | undefined {
  if (command.kind !== 'sql') return otherCommitments(command, event, sessionKey)
  const details: Record<string, string | number> = {}
  if (event.text !== command.text) details['textCommitment'] = textCommitment(command.text, sessionKey)
  if (command.parameters.some((value, index) => isValueMasked(value, event.parameters?.[index]))) {
    details['valuesCommitment'] = valuesCommitment(command.parameters, sessionKey)
  }
  return Object.keys(details).length === 0 ? undefined : { commandId: command.id, ...details }
}

/** Commits the bound values of a command whose recorded ones were masked: HMAC-SHA256, in hexadecimal. */
export function valuesCommitment(values: readonly BoundValue[], sessionKey: Uint8Array): string {
  const writer = new ByteWriter()
  for (const { type, format, bytes } of values) {
    writer.u32(type >>> 0).u8(format === 'text' ? 0 : 1)
    if (bytes === undefined) writer.u8(0)
    else writer.u8(1).u32(bytes.length).append(bytes)
  }
  return createHmac('sha256', sessionKey).update(writer.view()).digest('hex')
}
