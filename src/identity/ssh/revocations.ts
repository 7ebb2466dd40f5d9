import {
  decodeSshPublicKey,
  parseSshPublicKey,
  SallyportError,
  sshFingerprint,
  type SshCertificate,
} from '../../core/index.js'

/** Tells what was revoked. */
export interface SshRevocations {
  /** @param blob a plain key, also one that a certificate is about or was signed by */
  isKeyRevoked(blob: Uint8Array): boolean
  /** By its serial number or key id; the keys in it are asked for apart. */
  isCertificateRevoked(certificate: SshCertificate): boolean
}

/** Certificates that were revoked. */
export interface RevokedCertificates {
  /** The line or blob of the authority's key that signed them. Missing: whoever did. */
  readonly authority?: string | Uint8Array
  /** Numbers, or first and last of a range. */
  readonly serials?: readonly (bigint | readonly [first: bigint, last: bigint])[]
  readonly keyIds?: readonly string[]
}

export interface SshRevocationList {
  /** Lines as in `id_ed25519.pub`, or blobs. */
  readonly keys?: readonly (string | Uint8Array)[]
  /** As `ssh-keygen -l` shows them: `SHA256:...`. */
  readonly fingerprints?: readonly string[]
  readonly certificates?: readonly RevokedCertificates[]
}

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/

/**
 * A list of revoked keys and certificates.
 *
 * @throws SallyportError `invalid_option` for a key or fingerprint that cannot be read
 */
export function sshRevocations(list: SshRevocationList): SshRevocations {
  const fingerprints = new Set<string>(list.fingerprints ?? [])
  for (const fingerprint of fingerprints) {
    if (!FINGERPRINT.test(fingerprint)) {
      throw new SallyportError(
        'invalid_option',
        `expected a fingerprint \`SHA256:...\`, got \`${fingerprint.slice(0, 80)}\``,
      )
    }
  }
  for (const key of list.keys ?? []) fingerprints.add(fingerprintOf(key))
  const certificates = (list.certificates ?? []).map((each) => compile(each))
  return {
    isKeyRevoked: (blob) => fingerprints.has(sshFingerprint(blob)),
    isCertificateRevoked: (certificate) => certificates.some((isRevoked) => isRevoked(certificate)),
  }
}

function compile(revoked: RevokedCertificates): (certificate: SshCertificate) => boolean {
  const authority = revoked.authority === undefined ? undefined : fingerprintOf(revoked.authority)
  const single = new Set<bigint>()
  const ranges: (readonly [bigint, bigint])[] = []
  for (const each of revoked.serials ?? []) {
    if (typeof each === 'bigint') single.add(each)
    else ranges.push(each)
  }
  const keyIds = new Set(revoked.keyIds ?? [])
  return ({ serial, keyId, authority: { blob } }) => {
    if (authority !== undefined && authority !== sshFingerprint(blob)) return false
    if (keyIds.has(keyId) || single.has(serial)) return true
    return ranges.some(([first, last]) => first <= serial && serial <= last)
  }
}

function fingerprintOf(key: string | Uint8Array): string {
  return sshFingerprint(
    (typeof key === 'string' ? parseSshPublicKey(key) : decodeSshPublicKey(key, 'invalid_option')).blob,
  )
}
