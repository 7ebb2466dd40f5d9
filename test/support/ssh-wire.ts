import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { SshReader, SshWriter } from '../../src/core/index.js'

/*
 * Enough of SSH to say anything at any time, as client or as server: a peer that keeps no rule but those a test wants kept.
 * Only curve25519-sha256 with ssh-ed25519, and two ciphers: one whose packets are counted in the nonce, one whose MAC knows
 * the sequence number.
 */

export type WireCipher = 'aes128-gcm@openssh.com' | 'aes128-ctr'
const ETM = 'hmac-sha2-256-etm@openssh.com'
const TIMEOUT_MS = 8_000
const IDENT = 'SSH-2.0-wire'
/** A channel that never is. */
const BARRIER = 0xfeed_beef

/** Lists of KEXINIT, both directions alike. */
export interface WireOffer {
  readonly kex: readonly string[]
  readonly hostKey: readonly string[]
  readonly cipher: readonly string[]
  readonly mac: readonly string[]
  readonly compression: readonly string[]
}

export interface ExchangeOptions {
  readonly offer?: Partial<WireOffer>
  readonly cipher?: WireCipher
  /** Default: on. */
  readonly isStrict?: boolean
  /** Default: as strict key exchange has it. */
  readonly resetsSequence?: boolean
  /** Messages put in where they do not belong. */
  readonly beforeKexInit?: readonly Buffer[]
  readonly beforeExchange?: readonly Buffer[]
  readonly beforeNewKeys?: readonly Buffer[]
  readonly firstKexPacketFollows?: boolean
}

interface Sealer {
  seal(payload: Uint8Array, sequence: number): Buffer
}

interface Opener {
  /** Undefined: not all of a packet is there yet. */
  open(bytes: Buffer, sequence: number): { readonly payload: Buffer; readonly taken: number } | undefined
}

export class SshWire {
  readonly socket: Socket
  readonly role: 'client' | 'server'
  /** Everything that came, in order. */
  readonly seen: Buffer[] = []
  sessionId: Buffer = Buffer.alloc(0)
  /** Of the other side, as in its KEXINIT. */
  peerOffer: readonly (readonly string[])[] = []
  sendSequence = 0
  receiveSequence = 0
  readonly #hostKey: KeyObject | undefined
  readonly #ident: string
  #peerIdent = ''
  #buffer: Buffer = Buffer.alloc(0)
  #isClosed = false
  #sealer: Sealer = plainSealer
  #opener: Opener = plainOpener
  #arrived: () => void = () => {}

  constructor(socket: Socket, options: { readonly ident?: string; readonly hostKey?: KeyObject } = {}) {
    this.socket = socket
    this.role = options.hostKey === undefined ? 'client' : 'server'
    this.#hostKey = options.hostKey
    this.#ident = options.ident ?? IDENT
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk])
      this.#arrived()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosed = true
      this.#arrived()
    })
    socket.write(`${this.#ident}\r\n`)
  }

  static async connect(port: number, ident: string = IDENT): Promise<SshWire> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const wire = new SshWire(socket, { ident })
    await wire.readIdent()
    return wire
  }

  /** Connected, keys exchanged, and logged in. */
  static async login(port: number, keyFile: string, user = 'alice+web'): Promise<SshWire> {
    const wire = await SshWire.connect(port)
    await wire.exchange()
    await wire.authenticate(user, readPrivateKey(keyFile))
    return wire
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  async readIdent(): Promise<string> {
    for (;;) {
      const end = this.#buffer.indexOf('\n')
      if (end >= 0) {
        this.#peerIdent = this.#buffer.subarray(0, end).toString().trimEnd()
        this.#buffer = this.#buffer.subarray(end + 1)
        return this.#peerIdent
      }
      if (this.#isClosed) throw new Error('closed before its first line')
      await this.#more(TIMEOUT_MS)
    }
  }

  #more(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing came; last: ${this.types().slice(-8).join()}`)),
        timeoutMs,
      )
      this.#arrived = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Sends one payload, as one packet. */
  send(...payloads: readonly Uint8Array[]): void {
    for (const payload of payloads) this.sendRaw(this.seal(payload))
  }

  seal(payload: Uint8Array): Buffer {
    const packet = this.#sealer.seal(payload, this.sendSequence)
    this.sendSequence = (this.sendSequence + 1) >>> 0
    return packet
  }

  sendRaw(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes)
  }

  /** The next message; undefined where the connection has ended. */
  async next(timeoutMs: number = TIMEOUT_MS): Promise<Buffer | undefined> {
    for (;;) {
      const opened = this.#opener.open(this.#buffer, this.receiveSequence)
      if (opened !== undefined) {
        this.#buffer = this.#buffer.subarray(opened.taken)
        this.receiveSequence = (this.receiveSequence + 1) >>> 0
        this.seen.push(opened.payload)
        return opened.payload
      }
      if (this.#isClosed) return undefined
      await this.#more(timeoutMs)
    }
  }

  /** Reads up to a message of one of these types. @throws where the connection ends before */
  async until(...types: readonly number[]): Promise<Buffer> {
    for (;;) {
      const message = await this.next()
      if (message === undefined) throw new Error(`closed; last: ${this.types().slice(-8).join()}`)
      if (types.includes(message[0] as number)) return message
    }
  }

  /** Reads to the connection's end; fails where it does not end. */
  async untilClosed(): Promise<Buffer[]> {
    const start = this.seen.length
    while ((await this.next()) !== undefined);
    return this.seen.slice(start)
  }

  /** All that comes until everything sent so far has been read: messages, in order. */
  async settle(): Promise<Buffer[]> {
    const start = this.seen.length
    this.send(message.open('barrier@wire', BARRIER))
    while ((await this.until(92)).readUInt32BE(1) !== BARRIER);
    return this.seen.slice(start, -1)
  }

  types(from = 0): number[] {
    return this.seen.slice(from).map((payload) => payload[0] ?? -1)
  }

  /** What was said when it ended. */
  get disconnectText(): string | undefined {
    const last = this.seen.findLast((payload) => payload[0] === 1)
    return last === undefined ? undefined : reader(last, 5).string().toString()
  }

  close(): void {
    this.socket.destroy()
  }

  // Key exchange (RFC 4253 section 7, RFC 8731)

  kexInit(options: ExchangeOptions = {}): Buffer {
    const { offer = {}, cipher = 'aes128-gcm@openssh.com', isStrict = true } = options
    const strict = this.role === 'client' ? 'kex-strict-c-v00@openssh.com' : 'kex-strict-s-v00@openssh.com'
    const kex = offer.kex ?? ['curve25519-sha256']
    const writer = new SshWriter().u8(20).append(randomBytes(16))
    writer.nameList([...kex, ...(isStrict ? [strict] : [])]).nameList(offer.hostKey ?? ['ssh-ed25519'])
    for (const list of [offer.cipher ?? [cipher], offer.mac ?? [ETM], offer.compression ?? ['none'], []]) {
      writer.nameList(list).nameList(list)
    }
    return writer
      .boolean(options.firstKexPacketFollows ?? false)
      .u32(0)
      .take()
  }

  /** The whole of it. Messages that come in between stay in `seen`. */
  async exchange(options: ExchangeOptions = {}): Promise<void> {
    const { cipher = 'aes128-gcm@openssh.com', isStrict = true } = options
    const isClient = this.role === 'client'
    const own = generateKeyPairSync('x25519')
    const ownPublic = own.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    this.send(...(options.beforeKexInit ?? []))
    const ownInit = this.kexInit(options)
    this.send(ownInit)
    if (isClient) this.send(...(options.beforeExchange ?? []), new SshWriter().u8(30).string(ownPublic).take())
    const peerInit = await this.until(20)
    this.peerOffer = readOffer(peerInit)
    const agreed = await this.until(isClient ? 31 : 30)
    const read = reader(agreed, 1)
    const hostKey = isClient ? read.string() : publicBlob(this.#hostKey as KeyObject)
    const peerPublic = read.string()
    const secret = new SshWriter()
      .mpint(diffieHellman({ privateKey: own.privateKey, publicKey: x25519(peerPublic) }))
      .take()
    const of = (mine: Uint8Array | string, theirs: Uint8Array | string): (Uint8Array | string)[] =>
      isClient ? [mine, theirs] : [theirs, mine]
    const hashed = new SshWriter()
    for (const part of [...of(this.#ident, this.#peerIdent), ...of(ownInit, peerInit), hostKey]) {
      hashed.string(Buffer.from(part as Uint8Array))
    }
    for (const part of of(ownPublic, peerPublic)) hashed.string(part as Uint8Array)
    const hash = sha256(hashed.append(secret).take())
    if (this.sessionId.length === 0) this.sessionId = hash
    if (!isClient) {
      const signature = signatureBlob(this.#hostKey as KeyObject, hash)
      this.send(...(options.beforeExchange ?? []))
      this.send(new SshWriter().u8(31).string(hostKey).string(ownPublic).string(signature).take())
    }
    this.send(...(options.beforeNewKeys ?? []), Buffer.of(21))
    const derive = (letter: string, bytes: number): Buffer =>
      sha256(Buffer.concat([secret, hash, Buffer.from(letter), this.sessionId])).subarray(0, bytes)
    const resets = options.resetsSequence ?? isStrict
    const [toServer, toClient] = [keysOf(cipher, derive, 'ACE'), keysOf(cipher, derive, 'BDF')]
    if (resets) this.sendSequence = 0
    this.#sealer = isClient ? toServer : toClient
    await this.until(21)
    if (resets) this.receiveSequence = 0
    this.#opener = isClient ? toClient : toServer
  }

  // Authentication (RFC 4252)

  async requestService(name = 'ssh-userauth'): Promise<void> {
    this.send(new SshWriter().u8(5).text(name).take())
    await this.until(6)
  }

  async authenticate(user: string, key: KeyObject): Promise<void> {
    await this.requestService()
    this.send(this.publicKeyRequest({ user, key }))
    const answer = await this.until(51, 52, 1)
    if (answer[0] !== 52) throw new Error('not let in')
  }

  /** A request by public key, with whatever is wrong about it. */
  publicKeyRequest(options: PublicKeyRequest): Buffer {
    const { user, key, service = 'ssh-connection', algorithm = 'ssh-ed25519' } = options
    const blob = options.blob ?? publicBlob(key)
    const { hasSignature = true, signed = {} } = options
    const request = (fields: Partial<PublicKeyRequest>): SshWriter =>
      new SshWriter()
        .u8(50)
        .text(fields.user ?? user)
        .text(fields.service ?? service)
        .text('publickey')
        .boolean(hasSignature)
        .text(fields.algorithm ?? algorithm)
        .string(fields.blob ?? blob)
    if (!hasSignature) return request({}).take()
    const data = new SshWriter()
      .string(signed.sessionId ?? this.sessionId)
      .append(request(signed).take())
      .take()
    const signature = options.signature ?? signatureBlob(options.signer ?? key, data)
    return request({}).string(signature).take()
  }

  // Channels

  /** Opens a session. Returns how the other side calls it. */
  async openSession(sender = 0, window = 2_097_152, maxPacket = 32_768): Promise<number> {
    this.send(message.open('session', sender, window, maxPacket))
    const answer = await this.until(91, 92)
    if (answer[0] === 92) throw new Error('the channel was not opened')
    return answer.readUInt32BE(5)
  }

  /** Output of a channel so far. */
  output(channel = 0, code = 0): Buffer {
    const parts = this.seen.filter(
      (payload) => payload[0] === (code === 0 ? 94 : 95) && payload.readUInt32BE(1) === channel,
    )
    return Buffer.concat(parts.map((payload) => payload.subarray(code === 0 ? 9 : 13)))
  }

  /** Runs a command in a channel of its own. */
  async exec(command: string, sender = 0): Promise<{ stdout: string; stderr: string; status: number | undefined }> {
    const start = this.seen.length
    const id = await this.openSession(sender)
    this.send(message.request(id, 'exec', true, sshText(command)))
    await this.until(97)
    this.send(message.close(id))
    const since = this.seen.slice(start).filter((payload) => payload.length >= 5 && payload.readUInt32BE(1) === sender)
    const text = (type: number, at: number): string =>
      Buffer.concat(since.filter((payload) => payload[0] === type).map((payload) => payload.subarray(at))).toString()
    const exit = since.find((payload) => payload[0] === 98 && payload.includes('exit-status'))
    return { stdout: text(94, 9), stderr: text(95, 13), status: exit?.readUInt32BE(exit.length - 4) }
  }
}

export interface PublicKeyRequest {
  readonly user: string
  readonly key: KeyObject
  readonly service?: string
  readonly algorithm?: string
  /** Default: of the key. */
  readonly blob?: Buffer
  readonly hasSignature?: boolean
  /** Default: the key. */
  readonly signer?: KeyObject
  /** What was signed, where it is not what is said. */
  readonly signed?: Partial<Pick<PublicKeyRequest, 'user' | 'service' | 'algorithm' | 'blob'>> & {
    readonly sessionId?: Buffer
  }
  readonly signature?: Buffer
}

/** A hostile target: a server that lets everybody in, and then does what a test wants. */
export async function startWireServer(
  play: (wire: SshWire) => Promise<void>,
  options: ExchangeOptions & { readonly asksNoLogin?: boolean } = {},
): Promise<{ readonly port: number; readonly hostKeyLine: string; readonly failures: unknown[]; stop(): void }> {
  const hostKey = generateKeyPairSync('ed25519').privateKey
  const failures: unknown[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const wire = new SshWire(socket, { hostKey })
    const session = async (): Promise<void> => {
      await wire.readIdent()
      await wire.exchange(options)
      if (options.asksNoLogin !== true) await letIn(wire)
      await play(wire)
    }
    session().catch((error: unknown) => failures.push(error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    hostKeyLine: `ssh-ed25519 ${publicBlob(hostKey).toString('base64')}`,
    failures,
    stop: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

async function letIn(wire: SshWire): Promise<void> {
  await wire.until(5)
  wire.send(new SshWriter().u8(6).text('ssh-userauth').take())
  await wire.until(50)
  wire.send(Buffer.of(52))
}

/** Messages of the connection protocol (RFC 4254). */
export const message = {
  global: (name: string, wantsReply: boolean, data: Uint8Array = Buffer.alloc(0)): Buffer =>
    new SshWriter().u8(80).text(name).boolean(wantsReply).append(data).take(),
  open: (
    kind: string,
    sender: number,
    window = 2_097_152,
    maxPacket = 32_768,
    data: Uint8Array = Buffer.alloc(0),
  ): Buffer => new SshWriter().u8(90).text(kind).u32(sender).u32(window).u32(maxPacket).append(data).take(),
  opened: (recipient: number, sender: number, window = 2_097_152, maxPacket = 32_768): Buffer =>
    new SshWriter().u8(91).u32(recipient).u32(sender).u32(window).u32(maxPacket).take(),
  adjust: (recipient: number, bytes: number): Buffer => new SshWriter().u8(93).u32(recipient).u32(bytes).take(),
  data: (recipient: number, bytes: Uint8Array | string): Buffer =>
    new SshWriter().u8(94).u32(recipient).string(Buffer.from(bytes)).take(),
  extended: (recipient: number, code: number, bytes: Uint8Array | string): Buffer =>
    new SshWriter().u8(95).u32(recipient).u32(code).string(Buffer.from(bytes)).take(),
  eof: (recipient: number): Buffer => new SshWriter().u8(96).u32(recipient).take(),
  close: (recipient: number): Buffer => new SshWriter().u8(97).u32(recipient).take(),
  request: (recipient: number, name: string, wantsReply: boolean, data: Uint8Array = Buffer.alloc(0)): Buffer =>
    new SshWriter().u8(98).u32(recipient).text(name).boolean(wantsReply).append(data).take(),
  success: (recipient: number): Buffer => new SshWriter().u8(99).u32(recipient).take(),
  failure: (recipient: number): Buffer => new SshWriter().u8(100).u32(recipient).take(),
} as const

export const sshText = (...texts: readonly string[]): Buffer => {
  const writer = new SshWriter()
  for (const text of texts) writer.text(text)
  return writer.take()
}

export const ptyRequest = (term = 'xterm', columns = 80, rows = 24): Buffer =>
  new SshWriter().text(term).u32(columns).u32(rows).u32(0).u32(0).string(Buffer.of(0)).take()

export function reader(payload: Uint8Array, from = 0): SshReader {
  return new SshReader(payload.subarray(from), { message: 'message', code: 'protocol_violation' })
}

function readOffer(payload: Buffer): string[][] {
  const read = reader(payload, 17)
  return Array.from({ length: 10 }, () => read.nameList())
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function x25519(raw: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), raw])
  return createPublicKey({ key: der, format: 'der', type: 'spki' })
}

export function publicBlob(key: KeyObject): Buffer {
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32)
  return new SshWriter().text('ssh-ed25519').string(raw).take()
}

export function signatureBlob(key: KeyObject, data: Uint8Array): Buffer {
  return new SshWriter()
    .text('ssh-ed25519')
    .string(sign(null, data, key))
    .take()
}

/** Of an unencrypted ed25519 key as ssh-keygen writes it. */
export function readPrivateKey(file: string): KeyObject {
  const body = readFileSync(file, 'utf8').replaceAll(/-----.*-----|\s/g, '')
  const read = reader(Buffer.from(body, 'base64'), 'openssh-key-v1\0'.length)
  for (let skipped = 0; skipped < 3; skipped++) read.string()
  read.uint32()
  read.string()
  const section = reader(read.string(), 8)
  section.string()
  section.string()
  const seed = section.string().subarray(0, 32)
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

/** Length, padding, payload (RFC 4253 section 6); aligned with the length field or without. */
function frame(payload: Uint8Array, block: number, isLengthAligned: boolean): Buffer {
  const head = isLengthAligned ? 5 : 1
  let padding = block - ((payload.length + head) % block)
  if (padding < 4) padding += block
  const packet = Buffer.alloc(5 + payload.length + padding)
  packet.writeUInt32BE(1 + payload.length + padding)
  packet[4] = padding
  packet.set(payload, 5)
  return packet
}

const payloadOf = (body: Buffer): Buffer => body.subarray(1, body.length - (body[0] as number))

const plainSealer: Sealer = { seal: (payload) => frame(payload, 8, true) }

const plainOpener: Opener = {
  open(bytes) {
    if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE()) return undefined
    const taken = 4 + bytes.readUInt32BE()
    return { payload: Buffer.from(payloadOf(bytes.subarray(4, taken))), taken }
  },
}

/** @param letters of initial value, key and integrity key (RFC 4253 section 7.2) */
function keysOf(
  cipher: WireCipher,
  derive: (letter: string, bytes: number) => Buffer,
  letters: string,
): Sealer & Opener {
  const [ivLetter = '', keyLetter = '', macLetter = ''] = letters
  const key = derive(keyLetter, 16)
  return cipher === 'aes128-ctr'
    ? counterMode(key, derive(ivLetter, 16), derive(macLetter, 32))
    : galoisMode(key, Buffer.from(derive(ivLetter, 12)))
}

function galoisMode(key: Buffer, iv: Buffer): Sealer & Opener {
  const step = (): void => {
    iv.writeBigUInt64BE(BigInt.asUintN(64, iv.readBigUInt64BE(4) + 1n), 4)
  }
  return {
    seal(payload) {
      const packet = frame(payload, 16, false)
      const cipher = createCipheriv('aes-128-gcm', key, iv).setAAD(packet.subarray(0, 4))
      const sealed = Buffer.concat([packet.subarray(0, 4), cipher.update(packet.subarray(4)), cipher.final()])
      step()
      return Buffer.concat([sealed, cipher.getAuthTag()])
    },
    open(bytes) {
      if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE() + 16) return undefined
      const end = 4 + bytes.readUInt32BE()
      const decipher = createDecipheriv('aes-128-gcm', key, iv).setAAD(bytes.subarray(0, 4))
      decipher.setAuthTag(bytes.subarray(end, end + 16))
      const body = Buffer.concat([decipher.update(bytes.subarray(4, end)), decipher.final()])
      step()
      return { payload: payloadOf(body), taken: end + 16 }
    },
  }
}

function counterMode(key: Buffer, iv: Buffer, macKey: Buffer): Sealer & Opener {
  const cipher = createCipheriv('aes-128-ctr', key, iv)
  const mac = (sequence: number, bytes: Buffer): Buffer => {
    const counted = Buffer.alloc(4)
    counted.writeUInt32BE(sequence)
    return createHmac('sha256', macKey).update(counted).update(bytes).digest()
  }
  return {
    seal(payload, sequence) {
      const packet = frame(payload, 16, false)
      const sealed = Buffer.concat([packet.subarray(0, 4), cipher.update(packet.subarray(4))])
      return Buffer.concat([sealed, mac(sequence, sealed)])
    },
    open(bytes, sequence) {
      if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE() + 32) return undefined
      const end = 4 + bytes.readUInt32BE()
      if (!mac(sequence, bytes.subarray(0, end)).equals(bytes.subarray(end, end + 32))) throw new Error('wrong MAC')
      return { payload: payloadOf(cipher.update(bytes.subarray(4, end))), taken: end + 32 }
    },
  }
}
