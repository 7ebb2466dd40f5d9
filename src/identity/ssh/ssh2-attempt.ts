import { SallyportError, SshReader, SshWriter } from '../../core/index.js'
import type { SshKeyAttempt } from './public-key.js'

/** The fields of ssh2's context of a `publickey` request that count here. */
export interface Ssh2KeyContext {
  readonly username: string
  readonly service: string
  /** Undefined, whatever ssh2's types say, where the request ended before them. */
  readonly key: { readonly algo: string | undefined; readonly data: Uint8Array | undefined }
  /** Hash of an RSA key's signature; missing for the algorithm `ssh-rsa`, which is of SHA-1, and for every certificate. */
  readonly hashAlgo?: string | undefined
  readonly signature?: Uint8Array | undefined
  /** What ssh2 holds to be signed: its own session id, then the request. */
  readonly blob?: Uint8Array | undefined
}

/**
 * Turns what ssh2 makes of a `publickey` request back into the request. It takes signatures apart by the algorithm's name:
 *
 * - Plain keys: the name `rsa-sha2-512` becomes `ssh-rsa` and a hash; the signature is bare, and DER for ECDSA.
 * - Certificates, whose signature names another algorithm than the request does: the signature stays whole.
 *
 * A signature that is malformed becomes an empty one, which proves nothing. Bytes are copied.
 *
 * @throws SallyportError `protocol_violation` for a request without a key
 */
export function attemptOfSsh2(context: Ssh2KeyContext, clientAddress?: string): SshKeyAttempt {
  const { username: user, service, key, hashAlgo } = context
  if (key.algo === undefined || key.data === undefined) {
    throw new SallyportError('protocol_violation', 'a request by public key has no key')
  }
  const attempt = {
    user,
    service,
    algorithm: nameOf(key.algo, hashAlgo),
    key: Buffer.from(key.data),
    ...(clientAddress === undefined ? {} : { clientAddress }),
  }
  if (context.signature === undefined) return attempt
  return { ...attempt, proof: readProof(attempt.algorithm, context.signature, context.blob) }
}

function nameOf(algo: string, hashAlgo: string | undefined): string {
  if (algo !== 'ssh-rsa' || hashAlgo === undefined) return algo
  if (hashAlgo === 'sha256') return 'rsa-sha2-256'
  return hashAlgo === 'sha512' ? 'rsa-sha2-512' : algo
}

function readProof(
  algorithm: string,
  signature: Uint8Array,
  blob: Uint8Array | undefined,
): { readonly sessionId: Uint8Array; readonly signature: Uint8Array } {
  try {
    const reader = new SshReader(blob ?? new Uint8Array(0), { message: 'signed request', code: 'protocol_violation' })
    return { sessionId: Buffer.from(reader.string(128)), signature: wholeSignature(algorithm, Buffer.from(signature)) }
  } catch (error) {
    if (error instanceof SallyportError) return { sessionId: new Uint8Array(0), signature: new Uint8Array(0) }
    throw error
  }
}

function wholeSignature(algorithm: string, signature: Buffer): Uint8Array {
  if (algorithm.includes('-cert-v01@')) return signature
  const writer = new SshWriter().text(algorithm)
  if (algorithm.startsWith('ecdsa-')) {
    const [r, s] = readDer(signature)
    return writer.string(new SshWriter().mpint(r).mpint(s).view()).take()
  }
  if (algorithm.startsWith('sk-')) {
    // Behind the bare signature: byte flags, uint32 counter.
    if (signature.length < 5) throw malformed()
    return writer.string(signature.subarray(0, -5)).append(signature.subarray(-5)).take()
  }
  return writer.string(signature).take()
}

/** SEQUENCE { INTEGER r, INTEGER s }, as ssh2 writes it. */
function readDer(der: Buffer): [Buffer, Buffer] {
  const [sequence, behind] = readDerValue(der, 0x30)
  const [r, rest] = readDerValue(sequence, 0x02)
  const [s, end] = readDerValue(rest, 0x02)
  if (behind.length > 0 || end.length > 0) throw malformed()
  return [r, s]
}

function readDerValue(bytes: Buffer, tag: number): [value: Buffer, rest: Buffer] {
  const first = bytes[1] ?? 0x80
  const isLong = first >= 0x80
  const length = isLong ? (first === 0x81 ? (bytes[2] ?? 0xffff) : 0xffff) : first
  const start = isLong ? 3 : 2
  if (bytes[0] !== tag || start + length > bytes.length) throw malformed()
  return [bytes.subarray(start, start + length), bytes.subarray(start + length)]
}

function malformed(): SallyportError {
  return new SallyportError('protocol_violation', 'signature is malformed')
}
