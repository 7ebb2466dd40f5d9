import { ByteWriter, SallyportError, type TextExposure, type TextMasker } from '../../core/index.js'
import { BodyReader } from './body-reader.js'
import { Backend } from './message-types.js'

/**
 * Fields of ErrorResponse and NoticeResponse that can carry a value: message, detail, hint, context, internal query, and
 * names of schema, table, column, data type and constraint. The others are severity, SQLSTATE, positions and source lines.
 */
const TEXT_FIELDS: ReadonlySet<number> = new Set(Array.from('MDHWqstcdn', (letter) => letter.charCodeAt(0)))

/** Fields that say what the message was about; see {@link TextExposure}. */
const WITHHELD_FIELDS: ReadonlySet<number> = new Set(Array.from('MDHWqp', (letter) => letter.charCodeAt(0)))
const DETAIL = 0x44 // D
const MESSAGE = 0x4d // M

/** What stands for a message that is not passed on. */
export const WITHHELD_TEXT = 'the message is withheld: it may quote masked values'

/**
 * Masks every text of an ErrorResponse or NoticeResponse.
 *
 * @param start of the body: the five bytes of the message's header stand before it
 * @param exposure what of it may quote values that the masker does not know
 * @returns the whole new message, or undefined when nothing was found
 * @throws SallyportError `upstream_protocol_violation`
 */
export function maskErrorOrNotice(
  buffer: Buffer,
  start: number,
  end: number,
  masker: TextMasker,
  exposure: TextExposure = 'none',
): Buffer | undefined {
  const type = buffer[start - 5]
  if (type !== Backend.ErrorResponse && type !== Backend.NoticeResponse) {
    throw new SallyportError('internal', 'expected the header of an error or notice before its body')
  }
  const isWithheld =
    exposure === 'all' ? !isAboutText(buffer, start, end) : exposure === 'detail' && hasRunCode(buffer, start, end)
  const rewriter = new Rewriter(buffer, start, end, type, masker, 'ErrorResponse')
  const body = rewriter.body
  for (let letter = body.u8(); letter !== 0; letter = body.u8()) {
    if (isWithheld && letter === MESSAGE) rewriter.replaceString(WITHHELD_TEXT)
    else if (isWithheld && WITHHELD_FIELDS.has(letter)) rewriter.dropField()
    else if (exposure !== 'none' && letter === DETAIL) rewriter.dropField()
    else if (TEXT_FIELDS.has(letter)) rewriter.maskString()
    else body.skipString()
  }
  return rewriter.finish()
}

/**
 * Whether a message is about the statement's own text: a place in it is named, and no code that ran then. The server
 * finds such errors before it has read a row.
 */
function isAboutText(buffer: Buffer, start: number, end: number): boolean {
  const body = new BodyReader(buffer, start, end, 'ErrorResponse', 'upstream_protocol_violation')
  let hasPosition = false
  for (let letter = body.u8(); letter !== 0; letter = body.u8()) {
    if (letter === 0x50) hasPosition = true // P
    if (letter === 0x57 || letter === 0x71) return false // W, q
    body.skipString()
  }
  return hasPosition
}

/** Whether code of the database wrote the message, such as a trigger that was given the row: it says where it stood. */
function hasRunCode(buffer: Buffer, start: number, end: number): boolean {
  const body = new BodyReader(buffer, start, end, 'ErrorResponse', 'upstream_protocol_violation')
  for (let letter = body.u8(); letter !== 0; letter = body.u8()) {
    const from = body.position
    const nul = body.skipString()
    // Where in a COPY's data the server stood is the client's own text.
    if (letter === 0x71 || (letter === 0x57 && buffer.toString('latin1', from, Math.min(nul, from + 5)) !== 'COPY '))
      return true
  }
  return false
}

/** Masks channel and payload of a NotificationResponse. @see maskErrorOrNotice */
export function maskNotification(buffer: Buffer, start: number, end: number, masker: TextMasker): Buffer | undefined {
  const rewriter = new Rewriter(buffer, start, end, Backend.NotificationResponse, masker, 'NotificationResponse')
  rewriter.body.i32()
  rewriter.maskString()
  rewriter.maskString()
  return rewriter.finish()
}

/** Masks the value of a ParameterStatus. @see maskErrorOrNotice */
export function maskParameterStatus(
  buffer: Buffer,
  start: number,
  end: number,
  masker: TextMasker,
): Buffer | undefined {
  const rewriter = new Rewriter(buffer, start, end, Backend.ParameterStatus, masker, 'ParameterStatus')
  rewriter.body.skipString()
  rewriter.maskString()
  return rewriter.finish()
}

/** Masks the column names of a RowDescription, which dynamic SQL can fill with values. @see maskErrorOrNotice */
export function maskRowDescriptionNames(
  buffer: Buffer,
  start: number,
  end: number,
  masker: TextMasker,
): Buffer | undefined {
  const rewriter = new Rewriter(buffer, start, end, Backend.RowDescription, masker, 'RowDescription')
  const count = rewriter.body.u16()
  for (let i = 0; i < count; i++) {
    rewriter.maskString()
    rewriter.body.bytes(18)
  }
  return rewriter.finish()
}

/** Copies a message while some of its strings change. Copies nothing while none does. */
class Rewriter {
  readonly body: BodyReader
  readonly #buffer: Buffer
  readonly #end: number
  readonly #type: number
  readonly #masker: TextMasker
  #writer: ByteWriter | undefined
  /** Everything before this offset has been copied or replaced. */
  #copied: number

  constructor(buffer: Buffer, start: number, end: number, type: number, masker: TextMasker, message: string) {
    this.body = new BodyReader(buffer, start, end, message, 'upstream_protocol_violation')
    this.#buffer = buffer
    this.#end = end
    this.#type = type
    this.#masker = masker
    this.#copied = start
  }

  /** Passes over a terminated string and masks it. */
  maskString(): void {
    const start = this.body.position
    const nul = this.body.skipString()
    if (start === nul) return
    const text = this.#buffer.subarray(start, nul)
    const masked = this.#masker.maskText(text)
    if (masked === text) return
    // A NUL would end the string early and let the rest be read as something else.
    if (masked.includes(0)) throw new SallyportError('internal', 'a masked text contains a NUL')
    this.#copyTo(start).append(masked)
    this.#copied = nul
  }

  /** Puts another text in the place of a terminated string. */
  replaceString(text: string): void {
    const start = this.body.position
    this.#copyTo(start).append(Buffer.from(text, 'utf8'))
    this.#copied = this.body.skipString()
  }

  /** Leaves out the field whose letter was read last. */
  dropField(): void {
    this.#copyTo(this.body.position - 1)
    this.body.skipString()
    this.#copied = this.body.position
  }

  #copyTo(offset: number): ByteWriter {
    this.#writer ??= new ByteWriter(this.#end - this.#copied + 64).u8(this.#type).i32(0)
    return this.#writer.append(this.#buffer, this.#copied, offset)
  }

  finish(): Buffer | undefined {
    this.body.finish()
    if (this.#writer === undefined) return undefined
    const message = this.#writer.append(this.#buffer, this.#copied, this.#end).view()
    message.writeInt32BE(message.length - 1, 1)
    return message
  }
}
