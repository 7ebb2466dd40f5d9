import type { KeyObject } from 'node:crypto'
import {
  certifiedKeyType,
  decodeSshCertificate,
  isSshSignatureAlgorithm,
  SallyportError,
  signatureAlgorithmsOf,
  signSsh,
  SshReader,
  SshWriter,
  type SshSignatureAlgorithm,
} from '../../core/index.js'

/** How a client names itself that logs in with a certificate. */
export interface CertificateLogin {
  /** What the request says: `ssh-ed25519-cert-v01@openssh.com`, or for RSA `rsa-sha2-512-cert-v01@openssh.com`. */
  readonly algorithm: string
  /** What the signature says and is of. */
  readonly signatureAlgorithm: SshSignatureAlgorithm
  /** The certificate, in the place of the key. */
  readonly blob: Uint8Array
}

const SSH_MSG_USERAUTH_REQUEST = 50
const SUFFIX = '-cert-v01@openssh.com'

/**
 * What to put into a `publickey` request for this certificate.
 *
 * @throws SallyportError `invalid_option` for what is not a certificate of a user
 * @see PROTOCOL.certkeys of OpenSSH
 */
export function certificateLogin(certificate: Uint8Array): CertificateLogin {
  const { type, key, kind } = decodeSshCertificate(certificate, 'invalid_option')
  if (kind !== 'user') throw new SallyportError('invalid_option', 'the certificate is not of a user')
  const signatureAlgorithm = signatureAlgorithmsOf(key.type)[0] as SshSignatureAlgorithm
  const algorithm = key.type === 'ssh-rsa' ? `${signatureAlgorithm}${SUFFIX}` : type
  return { algorithm, signatureAlgorithm, blob: certificate }
}

/**
 * The signature of a request, without the name of its algorithm: for clients that put one before it themselves.
 *
 * @param key the private key of the certificate
 */
export function bareSignature(key: KeyObject, login: CertificateLogin, data: Uint8Array): Uint8Array {
  const whole = signSsh(key, data, login.signatureAlgorithm)
  const reader = new SshReader(whole, { message: 'signature', code: 'internal' })
  reader.string()
  return reader.string()
}

/**
 * Mends a request of a client that knows no certificates and puts the request's own algorithm before the signature: behind
 * `ssh-ed25519-cert-v01@openssh.com` stands a signature of `ssh-ed25519`, and targets refuse one that says otherwise.
 *
 * @param payload a message without its frame
 * @returns the same message mended; undefined when it is no signed request with a certificate, and may go as it is
 * @throws SallyportError `internal` for a request that is malformed
 */
export function mendCertificateRequest(payload: Uint8Array): Uint8Array | undefined {
  if (payload[0] !== SSH_MSG_USERAUTH_REQUEST) return undefined
  const reader = new SshReader(payload, { message: 'authentication request', code: 'internal' })
  reader.byte()
  reader.string()
  reader.string()
  if (reader.string().toString('latin1') !== 'publickey' || !reader.boolean()) return undefined
  const algorithm = reader.name()
  if (!algorithm.endsWith(SUFFIX)) return undefined
  const plain = certifiedKeyType(algorithm) ?? algorithm.slice(0, -SUFFIX.length)
  if (!isSshSignatureAlgorithm(plain)) throw reader.problem('names an algorithm that is not accepted')
  reader.string()
  const end = reader.position
  const signature = new SshReader(reader.string(), { message: 'signature', code: 'internal' })
  reader.finish()
  signature.string()
  const mended = new SshWriter().text(plain).append(signature.rest()).take()
  return new SshWriter().append(payload, 0, end).string(mended).take()
}
