import { SshReader } from '../bytes/ssh-reader.js'
import { SshWriter } from '../bytes/ssh-writer.js'
import { type ErrorCode, SallyportError } from '../errors.js'
import { decodeSshPublicKey, isSshKeyType, readSshKeyFields, type SshKeyType, type SshPublicKey } from './public-key.js'
import { signatureAlgorithmIn, verifySshSignature } from './signature.js'

/** An option or extension of a certificate. */
export interface SshCertificateOption {
  readonly name: string
  /** Empty for flags; for the options that have a value, an SSH string: see {@link certificateOptionText}. */
  readonly data: Uint8Array
}

/** An option or extension to be certified. */
export function certificateOption(name: string, text?: string): SshCertificateOption {
  return { name, data: text === undefined ? new Uint8Array(0) : new SshWriter().text(text).take() }
}

/** The one text in an option's data. Undefined: there is none, or something else. */
export function certificateOptionText(option: SshCertificateOption): string | undefined {
  const reader = new SshReader(option.data, { message: 'certificate option', code: 'protocol_violation' })
  try {
    const text = reader.text(MAX_OPTION_BYTES)
    return reader.remaining === 0 ? text : undefined
  } catch (error) {
    if (error instanceof SallyportError) return undefined
    throw error
  }
}

/** An OpenSSH certificate, decoded. Nothing of it is true before {@link isSignedByAuthority} and the checks of who trusts it. */
export interface SshCertificate {
  /** Such as `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string
  /** The key whose owner is certified; without the certificate. */
  readonly key: SshPublicKey
  readonly serial: bigint
  readonly kind: 'user' | 'host'
  readonly keyId: string
  readonly principals: readonly string[]
  readonly validAfterUnixSeconds: bigint
  /** First second in which it is no longer valid. */
  readonly validBeforeUnixSeconds: bigint
  readonly criticalOptions: readonly SshCertificateOption[]
  readonly extensions: readonly SshCertificateOption[]
  /** Who signed it: always a plain key. */
  readonly authority: SshPublicKey
  /** All fields before the signature. */
  readonly signedBytes: Uint8Array
  readonly signature: Uint8Array
}

const SUFFIX = '-cert-v01@openssh.com'
/** Below this a nonce does not keep a chosen prefix from colliding. OpenSSH draws 32 bytes. */
const MIN_NONCE_BYTES = 16
const MAX_NONCE_BYTES = 1_024
/** As many as OpenSSH takes. */
const MAX_PRINCIPALS = 256
const MAX_PRINCIPAL_BYTES = 1_024
const MAX_KEY_ID_BYTES = 4_096
const MAX_OPTIONS = 256
const MAX_OPTION_BYTES = 16_384

/** `ssh-ed25519-cert-v01@openssh.com` for `ssh-ed25519`, `sk-ssh-ed25519-cert-v01@openssh.com` for its security key form. */
export function certificateTypeOf(type: SshKeyType): string {
  return `${type.replace(/@openssh\.com$/, '')}${SUFFIX}`
}

/** The type of the key in a certificate of this type; undefined when it is none that is understood. */
export function certifiedKeyType(type: string): SshKeyType | undefined {
  if (!type.endsWith(SUFFIX)) return undefined
  const base = type.slice(0, -SUFFIX.length)
  const plain = base.startsWith('sk-') ? `${base}@openssh.com` : base
  return isSshKeyType(plain) ? plain : undefined
}

/**
 * Decodes a certificate; does not verify it. Its fields, behind those of the key:
 *
 *     uint64 serial, uint32 type, string key id, string valid principals, uint64 valid after, uint64 valid before,
 *     string critical options, string extensions, string reserved, string signature key, string signature
 *
 * @throws SallyportError of `code`, also for weak keys, an authority that is itself a certificate, a reserved field that is
 *   in use, and options that are out of order or named twice
 * @see PROTOCOL.certkeys of OpenSSH, draft-ietf-sshm-cert
 */
export function decodeSshCertificate(blob: Uint8Array, code: ErrorCode = 'protocol_violation'): SshCertificate {
  const reader = new SshReader(Buffer.from(blob), { message: 'certificate', code })
  const type = reader.name()
  const keyType = certifiedKeyType(type)
  if (keyType === undefined) throw reader.problem(`is of type \`${type}\`, which is not accepted`)
  const nonce = reader.string(MAX_NONCE_BYTES)
  if (nonce.length < MIN_NONCE_BYTES) throw reader.problem(`has a nonce of ${nonce.length} bytes`)
  const key = readSshKeyFields(reader, keyType)
  const serial = reader.uint64()
  const kindNumber = reader.uint32()
  if (kindNumber !== 1 && kindNumber !== 2) throw reader.problem(`is of the unknown kind ${kindNumber}`)
  const keyId = reader.text(MAX_KEY_ID_BYTES)
  if (hasControls(keyId)) throw reader.problem('has control characters in its key id')
  const principals = readPrincipals(reader.string(), code)
  const validAfterUnixSeconds = reader.uint64()
  const validBeforeUnixSeconds = reader.uint64()
  const criticalOptions = readOptions(reader.string(), code)
  const extensions = readOptions(reader.string(), code)
  // Fails closed: a meaning that this field may be given one day is not known here.
  if (reader.string().length > 0) throw reader.problem('uses its reserved field')
  const authority = decodeSshPublicKey(reader.string(), code)
  const signedBytes = Buffer.from(blob).subarray(0, reader.position)
  const signature = Buffer.from(reader.string())
  reader.finish()
  return {
    type,
    key,
    serial,
    kind: kindNumber === 1 ? 'user' : 'host',
    keyId,
    principals,
    validAfterUnixSeconds,
    validBeforeUnixSeconds,
    criticalOptions,
    extensions,
    authority,
    signedBytes,
    signature,
  }
}

/**
 * Whether the key that the certificate names as its authority really signed it, with an algorithm that is not SHA-1. Whether
 * that key is trusted is another question.
 */
export function isSignedByAuthority(certificate: SshCertificate): boolean {
  const algorithm = signatureAlgorithmIn(certificate.signature)
  if (algorithm === undefined) return false
  const { authority, signedBytes, signature } = certificate
  const facts = verifySshSignature(authority, algorithm, signedBytes, signature)
  // An authority on a security key: somebody has to have touched it.
  return facts !== undefined && facts.securityKey?.isUserPresent !== false
}

/** Zero or more strings, nothing between them. */
function readPrincipals(bytes: Uint8Array, code: ErrorCode): string[] {
  const reader = new SshReader(bytes, { message: 'list of principals', code })
  const principals: string[] = []
  while (reader.remaining > 0) {
    if (principals.length === MAX_PRINCIPALS) throw reader.limit(`has more than ${MAX_PRINCIPALS} names`)
    const principal = reader.text(MAX_PRINCIPAL_BYTES)
    if (principal === '' || hasControls(principal)) throw reader.problem('has a name that is empty or not printable')
    principals.push(principal)
  }
  return principals
}

/** string name, string data; the names in strictly ascending order. */
function readOptions(bytes: Uint8Array, code: ErrorCode): SshCertificateOption[] {
  const reader = new SshReader(bytes, { message: 'list of certificate options', code })
  const options: SshCertificateOption[] = []
  let last = ''
  while (reader.remaining > 0) {
    if (options.length === MAX_OPTIONS) throw reader.limit(`has more than ${MAX_OPTIONS} options`)
    const name = reader.name(256)
    if (name <= last) throw reader.problem('names an option twice or out of order')
    last = name
    options.push({ name, data: Buffer.from(reader.string(MAX_OPTION_BYTES)) })
  }
  return options
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

/** What is certified: everything but the key, the authority and its signature. */
export interface SshCertificateFields {
  readonly kind: 'user' | 'host'
  readonly serial: bigint
  readonly keyId: string
  readonly principals: readonly string[]
  readonly validAfterUnixSeconds: bigint
  readonly validBeforeUnixSeconds: bigint
  readonly criticalOptions: readonly SshCertificateOption[]
  readonly extensions: readonly SshCertificateOption[]
}

/** All fields before the signature, ready to be signed by `authority`. */
export function encodeUnsignedCertificate(
  key: SshPublicKey,
  authority: SshPublicKey,
  nonce: Uint8Array,
  fields: SshCertificateFields,
): Uint8Array {
  const principals = new SshWriter()
  for (const principal of fields.principals) principals.text(principal)
  // The blob of the key is its type and then the fields that a certificate repeats.
  const plain = new SshReader(key.blob, { message: 'public key', code: 'internal' })
  plain.string()
  return new SshWriter()
    .text(certificateTypeOf(key.type))
    .string(nonce)
    .append(plain.rest())
    .u64(fields.serial)
    .u32(fields.kind === 'user' ? 1 : 2)
    .text(fields.keyId)
    .string(principals.view())
    .u64(fields.validAfterUnixSeconds)
    .u64(fields.validBeforeUnixSeconds)
    .string(encodeOptions(fields.criticalOptions))
    .string(encodeOptions(fields.extensions))
    .u32(0)
    .string(authority.blob)
    .take()
}

function encodeOptions(options: readonly SshCertificateOption[]): Uint8Array {
  const writer = new SshWriter()
  for (const { name, data } of options.toSorted((a, b) => (a.name < b.name ? -1 : 1))) writer.text(name).string(data)
  return writer.take()
}
