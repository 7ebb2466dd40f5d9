import { SshReader, SshWriter } from '../../core/index.js'
import { GUARDED_TERMINAL_MODES } from './line/index.js'

/*
 * What requests and opens of the client carry. All throw `protocol_violation` for data that is not as their
 * specification says: a request that the target might read otherwise must not pass.
 */

const MAX_NAME_BYTES = 1_024
const MAX_TEXT_BYTES = 262_144

function read(data: Uint8Array, message: string): SshReader {
  return new SshReader(data, { message, code: 'protocol_violation' })
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * string command (RFC 4254 section 6.5). Undefined for one that is not UTF-8, or has a NUL, which ends it early for some
 * shells: it cannot be judged as a text.
 */
export function readCommand(data: Uint8Array): string | undefined {
  const reader = read(data, 'exec')
  const bytes = reader.string(MAX_TEXT_BYTES)
  reader.finish()
  if (bytes.includes(0)) return undefined
  try {
    return UTF_8.decode(bytes)
  } catch {
    return undefined
  }
}

/** string subsystem (RFC 4254 section 6.5); string signal without `SIG` (section 6.9). */
export function readName(data: Uint8Array, message: string): string {
  const reader = read(data, message)
  const name = reader.name(MAX_NAME_BYTES)
  reader.finish()
  return name
}

/** string name, string value (RFC 4254 section 6.4). */
export function readEnvironment(data: Uint8Array): { readonly name: string; readonly value: string } {
  const reader = read(data, 'env')
  const variable = { name: reader.text(MAX_NAME_BYTES), value: reader.text(MAX_TEXT_BYTES) }
  reader.finish()
  if (variable.name.includes('\0') || variable.value.includes('\0')) throw reader.problem('has a NUL in it')
  return variable
}

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export interface TerminalRequest extends TerminalSize {
  readonly term: string
}

/** string TERM, uint32 columns, rows, pixels wide, pixels high, string modes (RFC 4254 section 6.2). */
export function readTerminal(data: Uint8Array): TerminalRequest {
  const reader = read(data, 'pty-req')
  const term = reader.text(MAX_NAME_BYTES)
  const columns = reader.uint32()
  const rows = reader.uint32()
  reader.uint32()
  reader.uint32()
  reader.string(MAX_NAME_BYTES)
  reader.finish()
  return { term, columns, rows }
}

/** uint32 columns, rows, pixels wide, pixels high (RFC 4254 section 6.7). */
export function readWindowChange(data: Uint8Array): TerminalSize {
  const reader = read(data, 'window-change')
  const size = { columns: reader.uint32(), rows: reader.uint32() }
  reader.uint32()
  reader.uint32()
  reader.finish()
  return size
}

/** boolean single connection, string protocol, string cookie, uint32 screen (RFC 4254 section 6.3.1). */
export function readX11(data: Uint8Array): { readonly protocol: string } {
  const reader = read(data, 'x11-req')
  reader.boolean()
  const protocol = reader.text(MAX_NAME_BYTES)
  reader.string(MAX_NAME_BYTES)
  reader.uint32()
  reader.finish()
  return { protocol }
}

/** uint32 length in milliseconds (RFC 4335 section 3). */
export function readBreak(data: Uint8Array): number {
  const reader = read(data, 'break')
  const milliseconds = reader.uint32()
  reader.finish()
  return milliseconds
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** string host, uint32 port, string originator address, uint32 originator port (RFC 4254 section 7.2). */
export function readDirectTcpip(data: Uint8Array): HostPort {
  const reader = read(data, 'direct-tcpip')
  const target = { host: reader.text(MAX_NAME_BYTES), port: reader.uint32() }
  reader.text(MAX_NAME_BYTES)
  reader.uint32()
  reader.finish()
  return target
}

/** string address, uint32 port (RFC 4254 section 7.1). */
export function readTcpipForward(data: Uint8Array): HostPort {
  const reader = read(data, 'tcpip-forward')
  const listener = { host: reader.text(MAX_NAME_BYTES), port: reader.uint32() }
  reader.finish()
  return listener
}

/** string socket path (OpenSSH PROTOCOL section 2.4). */
export function readStreamlocalForward(data: Uint8Array): string {
  const reader = read(data, 'streamlocal-forward')
  const path = reader.text(MAX_NAME_BYTES)
  reader.finish()
  return path
}

/** string socket path, string reserved, uint32 reserved (OpenSSH PROTOCOL section 2.4). */
export function readDirectStreamlocal(data: Uint8Array): string {
  const reader = read(data, 'direct-streamlocal')
  const path = reader.text(MAX_NAME_BYTES)
  reader.string(MAX_NAME_BYTES)
  reader.uint32()
  reader.finish()
  return path
}

/** string signal name without `SIG`, boolean core dumped, string message, string language (RFC 4254 section 6.10). */
export function readExitSignal(data: Uint8Array): { readonly signal: string; readonly isCoreDumped: boolean } {
  const reader = new SshReader(data, { message: 'exit-signal', code: 'upstream_protocol_violation' })
  const signal = reader.name(MAX_NAME_BYTES)
  const isCoreDumped = reader.boolean()
  reader.string()
  reader.string()
  reader.finish()
  return { signal, isCoreDumped }
}

/** The same again, without the target's text, which nobody masked. */
export function exitSignal(signal: string, isCoreDumped: boolean): Buffer {
  return new SshWriter().text(signal).boolean(isCoreDumped).text('').text('').take()
}

/** uint32 exit status (RFC 4254 section 6.10). */
export function readExitStatus(data: Uint8Array): number {
  const reader = new SshReader(data, { message: 'exit-status', code: 'upstream_protocol_violation' })
  const status = reader.uint32()
  reader.finish()
  return status
}

/** string address, uint32 port that was connected to, string originator, uint32 port (RFC 4254 section 7.2). */
export function readForwardedTcpip(data: Uint8Array): HostPort {
  const reader = new SshReader(data, { message: 'forwarded-tcpip', code: 'upstream_protocol_violation' })
  const listener = { host: reader.text(MAX_NAME_BYTES), port: reader.uint32() }
  reader.text(MAX_NAME_BYTES)
  reader.uint32()
  reader.finish()
  return listener
}

/** string socket path, string reserved (OpenSSH PROTOCOL section 2.4). */
export function readForwardedStreamlocal(data: Uint8Array): string {
  const reader = new SshReader(data, { message: 'forwarded-streamlocal', code: 'upstream_protocol_violation' })
  const path = reader.text(MAX_NAME_BYTES)
  reader.string(MAX_NAME_BYTES)
  reader.finish()
  return path
}

/** uint32 port that was chosen, in the reply to `tcpip-forward` of port 0 (RFC 4254 section 7.1). */
export function readChosenPort(data: Uint8Array): number {
  const reader = new SshReader(data, { message: 'reply to tcpip-forward', code: 'upstream_protocol_violation' })
  const port = reader.uint32()
  reader.finish()
  return port
}

/** A text as the data of `exec`. */
export function sshString(text: string): Buffer {
  return new SshWriter().text(text).take()
}

const TTY_OP_END = 0
/** Opcodes from here on have other arguments than one uint32 (RFC 4254 section 8). */
const TTY_OP_UNDEFINED = 160

/** OPOST to ONLRET: what becomes of output. And both speeds. */
function isOutputMode(opcode: number): boolean {
  return (opcode >= 70 && opcode <= 75) || opcode === 128 || opcode === 129
}

/**
 * The same request for a terminal that does not repeat what is sent to it, and reads it as it was judged.
 *
 * INVARIANT: the client has no say in how input is read. A letter that kills a line would make another line of it.
 */
export function guardedTerminalRequest(data: Uint8Array): Buffer {
  const reader = read(data, 'pty-req')
  reader.string()
  const start = reader.position
  reader.bytes(16)
  const end = reader.position
  const asked = reader.string()
  const modes = new SshWriter()
  for (let at = 0; at + 5 <= asked.length; at += 5) {
    const opcode = asked[at] as number
    if (opcode === TTY_OP_END || opcode >= TTY_OP_UNDEFINED) break
    if (isOutputMode(opcode)) modes.append(asked, at, at + 5)
  }
  for (const [opcode, value] of GUARDED_TERMINAL_MODES) modes.u8(opcode).u32(value)
  modes.u8(TTY_OP_END)
  return new SshWriter().append(data, 0, start).append(data, start, end).string(modes.view()).take()
}

/** The same request for a terminal of another size. @param windowChange data of a `window-change` */
export function resizedTerminalRequest(data: Uint8Array, windowChange: Uint8Array): Buffer {
  const reader = read(data, 'pty-req')
  reader.string()
  const start = reader.position
  return new SshWriter()
    .append(data, 0, start)
    .append(windowChange)
    .append(data, start + 16)
    .take()
}
