import { createHash } from 'node:crypto'

const SIGNATURE_HASHES: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.4', 'md5'], // md5WithRSAEncryption
  ['1.2.840.113549.1.1.5', 'sha1'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.1', 'sha1'], // ecdsa-with-SHA1
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.2.840.10040.4.3', 'sha1'], // dsa-with-sha1
  ['2.16.840.1.101.3.4.3.1', 'sha224'],
  ['2.16.840.1.101.3.4.3.2', 'sha256'],
])

const RSASSA_PSS = '1.2.840.113549.1.1.10'

const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.2.5', 'md5'],
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

const SEQUENCE = 0x30
const OBJECT_IDENTIFIER = 0x06
const CONTEXT_0 = 0xa0

/**
 * The `tls-server-end-point` data of a server's certificate: its hash by the hash function of its own signature, MD5 and
 * SHA-1 replaced by SHA-256. Undefined where the signature has no one hash function (Ed25519) or is not known here.
 *
 * @param certificate DER
 * @see https://www.rfc-editor.org/rfc/rfc5929#section-4
 */
export function tlsServerEndPoint(certificate: Uint8Array): Buffer | undefined {
  const hash = signatureHash(certificate)
  if (hash === undefined) return undefined
  return createHash(hash === 'md5' || hash === 'sha1' ? 'sha256' : hash)
    .update(certificate)
    .digest()
}

/** Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm AlgorithmIdentifier, signature BIT STRING }. */
function signatureHash(certificate: Uint8Array): string | undefined {
  const outer = readElement(certificate, 0, certificate.length, SEQUENCE)
  const body = outer && readElement(certificate, outer.start, outer.end, SEQUENCE)
  const algorithm = outer && body && readElement(certificate, body.end, outer.end, SEQUENCE)
  const identifier = algorithm && readElement(certificate, algorithm.start, algorithm.end, OBJECT_IDENTIFIER)
  if (!algorithm || !identifier) return undefined
  const oid = readOid(certificate, identifier)
  if (oid !== RSASSA_PSS) return SIGNATURE_HASHES.get(oid)
  return pssHash(certificate, identifier.end, algorithm.end)
}

/** RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] AlgorithmIdentifier DEFAULT sha1, ... }. */
function pssHash(bytes: Uint8Array, start: number, end: number): string | undefined {
  const parameters = readElement(bytes, start, end, SEQUENCE)
  if (!parameters) return undefined
  const tagged = readElement(bytes, parameters.start, parameters.end, CONTEXT_0)
  if (!tagged) return 'sha1'
  const algorithm = readElement(bytes, tagged.start, tagged.end, SEQUENCE)
  const identifier = algorithm && readElement(bytes, algorithm.start, algorithm.end, OBJECT_IDENTIFIER)
  return identifier && DIGESTS.get(readOid(bytes, identifier))
}

interface Element {
  readonly start: number
  readonly end: number
}

/** The content of the element at `at`, if it has this tag and lies within `limit`. */
function readElement(bytes: Uint8Array, at: number, limit: number, tag: number): Element | undefined {
  if (at + 2 > limit || bytes[at] !== tag) return undefined
  let length = bytes[at + 1] as number
  let start = at + 2
  if (length >= 0x80) {
    const count = length & 0x7f
    if (count === 0 || count > 4 || start + count > limit) return undefined
    length = 0
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start++] as number)
  }
  return start + length <= limit ? { start, end: start + length } : undefined
}

function readOid(bytes: Uint8Array, element: Element): string {
  const first = bytes[element.start] ?? 0
  const root = Math.min(Math.floor(first / 40), 2)
  const parts = [root, first - 40 * root]
  let part = 0
  for (let i = element.start + 1; i < element.end; i++) {
    const byte = bytes[i] as number
    part = part * 128 + (byte & 0x7f)
    if (byte >= 0x80) continue
    parts.push(part)
    part = 0
  }
  return parts.join('.')
}
