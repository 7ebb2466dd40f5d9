import { isUtf8 } from 'node:buffer'
import { isAsciiSafeEncoding } from './encodings.js'

/** The first packet of a connection, or what is wrong with it. */
export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Uint8Array }
  | StartupMessage
  | { readonly kind: 'invalid'; readonly problem: string }

/** A StartupMessage of major version 3. The minor version may be one we do not know: it is negotiated down. */
export interface StartupMessage {
  readonly kind: 'startup'
  readonly major: number
  readonly minor: number
  readonly user: string
  /** The user's name where the client named no database, as the server has it. */
  readonly database: string
  /** Every parameter except `user`, `database` and protocol options, by its name as sent. */
  readonly parameters: ReadonlyMap<string, string>
  /** Names beginning with `_pq_.`, to be answered by NegotiateProtocolVersion. */
  readonly protocolOptions: readonly string[]
}

/** A startup packet longer than this is refused by the server too. The caller enforces it before reading. */
export const MAX_STARTUP_BYTES = 10_000

const SSL_REQUEST_CODE = 80_877_103
const GSSENC_REQUEST_CODE = 80_877_104
const CANCEL_REQUEST_CODE = 80_877_102

const MIN_SECRET_KEY_BYTES = 4
const MAX_SECRET_KEY_BYTES = 256

/** The server cuts longer names, and then the database judged and the one opened would not be the same. */
const MAX_DATABASE_BYTES = 63

/**
 * Reads a complete startup packet without its length. Never throws.
 *
 * StartupMessage: Int32 version, then pairs of String name, String value, then Byte 0. CancelRequest: Int32 code, Int32
 * process id, Byte[n] key (4 bytes until protocol 3.0, up to 256 from 3.2). SSLRequest, GSSENCRequest: Int32 code.
 *
 * @param packet a view is kept of a cancel key only; it is copied
 * @see https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
export function parseStartup(packet: Buffer): StartupPacket {
  if (packet.length < 4) return invalid('startup packet is shorter than its version number')
  if (packet.length > MAX_STARTUP_BYTES) return invalid(`startup packet is longer than ${MAX_STARTUP_BYTES} bytes`)
  const code = packet.readUInt32BE(0)
  switch (code) {
    case SSL_REQUEST_CODE:
      return packet.length === 4 ? { kind: 'ssl' } : invalid('bytes follow the code of an SSLRequest')
    case GSSENC_REQUEST_CODE:
      return packet.length === 4 ? { kind: 'gssenc' } : invalid('bytes follow the code of a GSSENCRequest')
    case CANCEL_REQUEST_CODE:
      return parseCancel(packet)
    default:
      return parseStartupMessage(packet, code >>> 16, code & 0xffff)
  }
}

function parseCancel(packet: Buffer): StartupPacket {
  const keyBytes = packet.length - 8
  if (keyBytes < MIN_SECRET_KEY_BYTES || keyBytes > MAX_SECRET_KEY_BYTES) {
    return invalid(`secret key of a CancelRequest has ${Math.max(keyBytes, 0)} bytes, expected 4 to 256`)
  }
  return { kind: 'cancel', processId: packet.readInt32BE(4), secretKey: Uint8Array.from(packet.subarray(8)) }
}

function parseStartupMessage(packet: Buffer, major: number, minor: number): StartupPacket {
  if (major !== 3) return invalid(`unsupported protocol version ${major}.${minor}, expected 3.0 or newer`)
  const pairs = readPairs(packet, 4)
  if (typeof pairs === 'string') return invalid(pairs)

  const user = pairs.get('user')
  if (user === undefined || user === '') return invalid('startup message names no user')
  const database = pairs.get('database') || user
  if (Buffer.byteLength(database) > MAX_DATABASE_BYTES) {
    return invalid(`database name is longer than ${MAX_DATABASE_BYTES} bytes`)
  }

  const parameters = new Map<string, string>()
  const protocolOptions: string[] = []
  for (const [name, value] of pairs) {
    if (name === 'user' || name === 'database') continue
    if (name.startsWith('_pq_.')) protocolOptions.push(name)
    else parameters.set(name, value)
  }
  return { kind: 'startup', major, minor, user, database, parameters, protocolOptions }
}

/** Pairs of terminated strings up to an empty name, which must be the packet's last byte. */
function readPairs(packet: Buffer, start: number): Map<string, string> | string {
  if (!isUtf8(packet.subarray(start))) return 'startup message is not valid UTF-8'
  const pairs = new Map<string, string>()
  let position = start
  for (;;) {
    const nameEnd = packet.indexOf(0, position)
    if (nameEnd < 0) return 'startup message lacks its terminator'
    if (nameEnd === position) break
    const valueEnd = packet.indexOf(0, nameEnd + 1)
    if (valueEnd < 0) return 'value of a startup parameter lacks its terminator'
    const name = packet.toString('utf8', position, nameEnd)
    if (pairs.has(name)) return `startup parameter \`${name}\` is given twice`
    pairs.set(name, packet.toString('utf8', nameEnd + 1, valueEnd))
    position = valueEnd + 1
  }
  return position === packet.length - 1 ? pairs : 'bytes follow the terminator of the startup message'
}

function invalid(problem: string): StartupPacket {
  return { kind: 'invalid', problem }
}

/**
 * Parameters a client may set when it connects: how values look, how long things may take, how the planner searches.
 * Nothing that changes what a text means, what a name resolves to, or who runs it.
 */
export const DEFAULT_STARTUP_PARAMETERS: ReadonlySet<string> = new Set([
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'client_min_messages',
  'datestyle',
  'extra_float_digits',
  'geqo',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'intervalstyle',
  'jit',
  'lock_timeout',
  'statement_timeout',
  'timezone',
  'transaction_timeout',
])

/** Refused whatever the caller allows: they change meaning or identity, or run code, before any statement can be judged. */
const NEVER_ALLOWED: ReadonlySet<string> = new Set([
  'backslash_quote',
  'escape_string_warning',
  'is_superuser',
  'local_preload_libraries',
  'options',
  'role',
  'search_path',
  'session_authorization',
  'session_preload_libraries',
  'standard_conforming_strings',
  'transform_null_equals',
])

const FALSE_WORDS: ReadonlySet<string> = new Set(['false', 'off', 'no', '0', 'f', 'n'])

export type StartupParameters =
  | {
      /** Settings by lower-case name, `options` merged in. To be sent upstream as parameters of their own. */
      readonly parameters: ReadonlyMap<string, string>
    }
  | { readonly problem: string }

/**
 * Holds a client's startup parameters against an allow-list.
 *
 * A setting given as a parameter wins over the same setting in `options`, as in the server. `fallback_application_name`,
 * which no server knows, becomes `application_name` where that is missing.
 *
 * @param allow lower-case names; see {@link DEFAULT_STARTUP_PARAMETERS}
 */
export function checkStartupParameters(
  startup: Pick<StartupMessage, 'parameters'>,
  allow: ReadonlySet<string> = DEFAULT_STARTUP_PARAMETERS,
): StartupParameters {
  const options = parseOptions(startup.parameters.get('options') ?? '')
  if ('problem' in options) return options

  const own = new Map<string, string>()
  for (const [name, value] of startup.parameters) {
    if (name === 'options') continue
    if (name === 'replication') {
      if (FALSE_WORDS.has(value.toLowerCase())) continue
      return { problem: 'replication connections are not allowed' }
    }
    const folded = foldSettingName(name)
    if (own.has(folded)) return { problem: `startup parameter \`${folded}\` is given twice` }
    own.set(folded, value)
  }

  const parameters = new Map([...options.settings, ...own])
  for (const [name, value] of parameters) {
    const problem = checkSetting(name, value, allow)
    if (problem !== undefined) return { problem }
  }
  const fallback = parameters.get('fallback_application_name')
  if (fallback !== undefined) {
    parameters.delete('fallback_application_name')
    if (!parameters.has('application_name')) parameters.set('application_name', fallback)
  }
  return { parameters }
}

function checkSetting(name: string, value: string, allow: ReadonlySet<string>): string | undefined {
  if (NEVER_ALLOWED.has(name) || name.startsWith('default_transaction_') || !allow.has(name)) {
    return `startup parameter \`${name}\` is not allowed`
  }
  if (name === 'client_encoding' && !isAsciiSafeEncoding(value)) {
    return `client encoding \`${value}\` is not supported`
  }
  return undefined
}

/**
 * Reads the `options` startup parameter: `-c name=value`, `-cname=value` and `--name=value`, words separated by white
 * space, a backslash taking the next character as it is. Any other switch of the server is a problem. The last of
 * several settings of one name wins.
 */
export function parseOptions(text: string): { readonly settings: Map<string, string> } | { readonly problem: string } {
  const settings = new Map<string, string>()
  const words = splitOptions(text)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    let assignment: string | undefined
    if (word === '-c') assignment = words[++i]
    else if (word.startsWith('-c')) assignment = word.slice(2)
    else if (word.startsWith('--') && word.length > 2) assignment = word.slice(2)
    else return { problem: `switch \`${word}\` in startup options is not allowed` }

    const equals = assignment?.indexOf('=') ?? -1
    if (assignment === undefined || equals < 1) return { problem: `startup option \`${word}\` gives no value` }
    settings.set(foldSettingName(assignment.slice(0, equals).replaceAll('-', '_')), assignment.slice(equals + 1))
  }
  return { settings }
}

function splitOptions(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i)
    if (isSpace(character)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (character === '\\') {
      word = (word ?? '') + text.charAt(++i)
    } else {
      word = (word ?? '') + character
    }
  }
  if (word !== undefined) words.push(word)
  return words
}

/** What C's isspace says of ASCII. */
function isSpace(character: string): boolean {
  return character === ' ' || (character >= '\t' && character <= '\r')
}

/** Settings are found without regard to case, ASCII letters only. */
function foldSettingName(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
