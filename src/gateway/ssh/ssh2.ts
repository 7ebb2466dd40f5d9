import type { Duplex } from 'node:stream'
import type Ssh2 from 'ssh2'
import { SallyportError } from '../../core/index.js'

/*
 * What is used of ssh2: its key exchange, its ciphers and its authentication, on both sides. Its channels are not: it knows
 * windows of one direction only, loses terminal modes, turns commands that are no UTF-8 into others, repeats output where
 * stdout and stderr both wait for the same window, and leaves requests unanswered behind a channel's EOF. So the messages of
 * the connection protocol are taken and put in below that, at the one place where ssh2 hands over decrypted payloads.
 *
 * That place is not part of its documented interface. It has not changed since 1.0; which versions it was tried with stands
 * in package.json, and `protocolOf` refuses one that looks otherwise.
 */

export type Ssh2Module = typeof Ssh2

/** What a key exchange came to, by direction; `mac` is empty where the cipher has its own. */
export interface NegotiatedAlgorithms {
  readonly cs: { readonly cipher: string; readonly mac: string }
  readonly sc: { readonly cipher: string; readonly mac: string }
}

/** What of ssh2's decryption is touched. */
export interface Ssh2Decipher {
  _onPayload: (payload: Buffer) => unknown
  /** A packet that is not complete, where there is one. */
  _packet?: Uint8Array | null
}

/** What of ssh2's protocol object is touched. */
export interface Ssh2Protocol {
  /** The other side's first line has been read. */
  _onHeader: (header: unknown) => void
  /** New keys are in use. */
  _onHandshakeComplete: (negotiated: NegotiatedAlgorithms) => void
  /** Both sides have announced strict key exchange; undefined before the other's announcement. */
  readonly _strictMode: boolean | undefined
  /** Undefined before the first line; takes what of a key exchange comes in. */
  readonly _decipher: Ssh2Decipher | undefined
  /** Takes every decrypted payload once keys are exchanged. Read when new keys are taken into use. */
  _onPayload: (payload: Buffer) => unknown
  /** Told of every packet. */
  _onPacket: () => void
  /** Set while keys are exchanged: then only that may be sent. */
  readonly _kexinit: unknown
  _queue: Buffer[] | undefined
  readonly _cipher: { encrypt(packet: Buffer): void }
  readonly _packetRW: {
    readonly write: {
      readonly allocStart: number
      alloc(bytes: number): Buffer
      finalize: (packet: Buffer, isForced?: boolean) => Buffer
    }
  }
  disconnect(reason: number): void
  rekey(): void
}

/** @throws SallyportError `missing_dependency` */
export function loadSsh2(): Promise<Ssh2Module> {
  return import('ssh2').then(
    // As a CommonJS module its exports are its default.
    (module) => module.default,
    (cause: unknown) => {
      throw new SallyportError('missing_dependency', 'the SSH gateway needs package `ssh2`: npm install ssh2@1.17', {
        cause,
      })
    },
  )
}

/**
 * The protocol object of a connection, of either side.
 *
 * @throws SallyportError `missing_dependency` where this version of ssh2 is made otherwise
 */
export function protocolOf(connection: object): Ssh2Protocol {
  const protocol = (connection as { readonly _protocol?: Partial<Ssh2Protocol> })._protocol
  const write = protocol?._packetRW?.write
  const isKnown =
    typeof protocol?._onPayload === 'function' &&
    typeof protocol._onPacket === 'function' &&
    typeof protocol._onHeader === 'function' &&
    typeof protocol._onHandshakeComplete === 'function' &&
    '_strictMode' in protocol &&
    typeof protocol._cipher?.encrypt === 'function' &&
    typeof protocol.disconnect === 'function' &&
    typeof protocol.rekey === 'function' &&
    typeof write?.alloc === 'function' &&
    typeof write.finalize === 'function' &&
    typeof write.allocStart === 'number'
  if (isKnown) return protocol as Ssh2Protocol
  throw new SallyportError('missing_dependency', 'this version of `ssh2` is not known: expected 1.17')
}

/** Encrypts and sends one payload, behind a key exchange where one is under way. */
export function sendPayload(protocol: Ssh2Protocol, payload: Uint8Array, body?: Uint8Array): void {
  const { write } = protocol._packetRW
  const start = write.allocStart
  const packet = write.alloc(payload.length + (body?.length ?? 0))
  packet.set(payload, start)
  if (body !== undefined) packet.set(body, start + payload.length)
  const finished = write.finalize(packet)
  if (protocol._kexinit === undefined) protocol._cipher.encrypt(finished)
  else (protocol._queue ??= []).push(finished)
}

/**
 * Whether this is ssh2's own AES-GCM, which turns a whole packet, with room for its tag, into what is sent. Without its native
 * part, and for other ciphers, ssh2 encrypts into memory of its own.
 */
export function encryptsInPlace(cipher: Ssh2Protocol['_cipher']): boolean {
  return cipher.constructor.name === 'AESGCMCipherBinding'
}

/** Whether this is ssh2's own AES-GCM for what comes in, which decrypts a packet where it finds it. */
export function decryptsInPlace(decipher: Ssh2Decipher | undefined): boolean {
  return decipher?.constructor.name === 'AESGCMDecipherBinding'
}

/** Has ssh2 keep a copy of a packet of which only the tag is missing: until that comes it keeps a view. */
export function keepUnfinishedPacket(decipher: Ssh2Decipher | undefined, lent: Buffer): void {
  const packet = decipher?._packet
  if (decipher !== undefined && packet?.buffer === lent.buffer) decipher._packet = Buffer.from(packet)
}

/** What ssh2's server was given this connection on. */
export function socketOf(connection: object): unknown {
  return (connection as { readonly _sock?: unknown })._sock
}

export type SshSocket = Duplex & { setNoDelay?(isOn: boolean): unknown }
