import {
  decodeSshPublicKey,
  parseSshPublicKey,
  SallyportError,
  signatureAlgorithmsOf,
  SSH_KEY_TYPES,
  sshFingerprint,
  type SshKeyType,
  type SshSignatureAlgorithm,
} from '../../core/index.js'
import type { HostKeyRefusal, HostKeys, HostKeyVerdict, ShownHostKey } from './types.js'

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/

/**
 * Trusts the keys that are listed, whatever the host is called: one set for every target.
 *
 * @param pins fingerprints as `ssh-keygen -l` shows them, or lines as in `ssh_host_ed25519_key.pub`
 * @throws SallyportError `invalid_option` for none, and for what is neither
 */
export function pinnedHostKeys(pins: readonly string[]): HostKeys {
  if (pins.length === 0) throw new SallyportError('invalid_option', 'expected at least one host key')
  const fingerprints = new Set<string>()
  let types: Set<string> | undefined = new Set()
  for (const pin of pins) {
    if (FINGERPRINT.test(pin)) {
      fingerprints.add(pin)
      // A fingerprint does not tell what it is of.
      types = undefined
    } else {
      const { blob, type } = parseSshPublicKey(pin)
      fingerprints.add(sshFingerprint(blob))
      types?.add(type)
    }
  }
  return {
    judge: (shown) => {
      const fingerprint = sshFingerprint(shown.key)
      return fingerprints.has(fingerprint) ? trusted(shown) : hostKeyRefused('changed', shown)
    },
    algorithms: () => hostKeyAlgorithms(types),
  }
}

/** A key that is known, unless it is too weak to prove anything. */
export function trusted(shown: ShownHostKey): HostKeyVerdict {
  try {
    decodeSshPublicKey(shown.key)
  } catch (error) {
    if (error instanceof SallyportError) return hostKeyRefused('weak', shown, error.message)
    throw error
  }
  return { isTrusted: true, fingerprint: sshFingerprint(shown.key) }
}

const WORDS: Readonly<Record<HostKeyRefusal, string>> = {
  unknown: 'is not known',
  changed: 'is not the one that is known',
  revoked: 'was revoked',
  weak: 'is not accepted',
}

export function hostKeyRefused(reason: HostKeyRefusal, shown: ShownHostKey, detail?: string): HostKeyVerdict {
  const fingerprint = sshFingerprint(shown.key)
  const message = `host key ${fingerprint} of \`${shown.host}\` port ${shown.port} ${WORDS[reason]}`
  return { isTrusted: false, reason, fingerprint, message: detail === undefined ? message : `${message}: ${detail}` }
}

/** The error that ends a session over a host key. */
export function hostKeyError(verdict: HostKeyVerdict & { readonly isTrusted: false }): SallyportError {
  return new SallyportError('upstream_host_key_refused', verdict.message)
}

/** @param types undefined, or none that is accepted: all that are accepted */
export function hostKeyAlgorithms(types: ReadonlySet<string> | undefined): readonly SshSignatureAlgorithm[] {
  // Hosts have no security keys.
  const accepted = SSH_KEY_TYPES.filter((type) => !type.startsWith('sk-'))
  const known = accepted.filter((type) => types?.has(type) ?? true)
  return (known.length > 0 ? known : accepted).flatMap((type: SshKeyType) => [...signatureAlgorithmsOf(type)])
}
