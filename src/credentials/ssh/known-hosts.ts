import { createHmac, timingSafeEqual } from 'node:crypto'
import { fitsWildcards, readSshKeyLine, SallyportError } from '../../core/index.js'
import { hostKeyAlgorithms, hostKeyRefused, trusted } from './host-keys.js'
import type { HostKeys, HostKeyVerdict, ShownHostKey } from './types.js'

interface KnownHost {
  readonly marker: 'key' | 'revoked' | 'authority'
  readonly type: string
  readonly blob: Buffer
  isOf(name: string): boolean
}

const MAX_LINE_LENGTH = 65_536
const DEFAULT_PORT = 22

/**
 * Trusts the host keys of a `known_hosts` file: plain and hashed names, `*` and `?`, negation, `[host]:port`, `@revoked`. A
 * host on another port than 22 is known only as `[host]:port`.
 *
 * Lines of `@cert-authority` are read and trust nothing: host certificates are not negotiated, so that a host known only by its
 * authority is refused, and the message says so.
 *
 * @param text the file
 * @throws SallyportError `invalid_option` for a line that cannot be read: what it says, such as a revocation, would be lost
 * @see sshd(8), SSH_KNOWN_HOSTS FILE FORMAT
 */
export function knownHosts(text: string): HostKeys {
  const entries: KnownHost[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const entry = line.trim()
    if (entry === '' || entry.startsWith('#')) continue
    try {
      entries.push(parseLine(entry))
    } catch (cause) {
      if (!(cause instanceof SallyportError)) throw cause
      throw new SallyportError('invalid_option', `line ${index + 1} of the known hosts: ${cause.message}`, { cause })
    }
  }
  const matching = (host: string, port: number): KnownHost[] => {
    const name = hostName(host, port)
    return entries.filter((entry) => entry.isOf(name))
  }
  return {
    judge: (shown) => judge(shown, matching(shown.host, shown.port)),
    algorithms: (host, port) => {
      const keys = matching(host, port).filter(({ marker }) => marker === 'key')
      return hostKeyAlgorithms(new Set(keys.map(({ type }) => type)))
    },
  }
}

function judge(shown: ShownHostKey, entries: readonly KnownHost[]): HostKeyVerdict {
  const key = Buffer.from(shown.key)
  if (entries.some(({ marker, blob }) => marker === 'revoked' && blob.equals(key))) {
    return hostKeyRefused('revoked', shown)
  }
  const known = entries.filter(({ marker }) => marker === 'key')
  if (known.some(({ blob }) => blob.equals(key))) return trusted(shown)
  if (known.length > 0) return hostKeyRefused('changed', shown)
  const hasAuthority = entries.some(({ marker }) => marker === 'authority')
  const detail = hasAuthority ? 'only its certificate authority is, and host certificates are not supported' : undefined
  return hostKeyRefused('unknown', shown, detail)
}

/** As it stands in the file: lower case, and with the port unless that is 22. */
function hostName(host: string, port: number): string {
  const name = host.toLowerCase()
  return port === DEFAULT_PORT ? name : `[${name}]:${port}`
}

/** [marker] names type base64 [comment] */
function parseLine(line: string): KnownHost {
  if (line.length > MAX_LINE_LENGTH) throw invalid(`has ${line.length} characters, more than ${MAX_LINE_LENGTH}`)
  const words = line.split(/[ \t]+/)
  const marker = words[0]?.startsWith('@') === true ? readMarker(words.shift() ?? '') : 'key'
  const names = words.shift() ?? ''
  const isOf = names.startsWith('|') ? hashedName(names) : namePatterns(names)
  const { type, blob } = readSshKeyLine(words.join(' '))
  return { marker, type, blob: Buffer.from(blob), isOf }
}

function readMarker(marker: string): KnownHost['marker'] {
  if (marker === '@revoked') return 'revoked'
  if (marker === '@cert-authority') return 'authority'
  throw invalid(`has the unknown marker \`${marker.slice(0, 64)}\``)
}

/** `|1|` salt `|` HMAC-SHA-1 of the name, both base64: one name, and no patterns. */
function hashedName(text: string): (name: string) => boolean {
  const [, version, salt = '', hash = '', ...rest] = text.split('|')
  const key = Buffer.from(salt, 'base64')
  const digest = Buffer.from(hash, 'base64')
  if (version !== '1' || rest.length > 0 || key.length !== 20 || digest.length !== 20) {
    throw invalid('has a hashed name that cannot be read')
  }
  return (name) => timingSafeEqual(createHmac('sha1', key).update(name).digest(), digest)
}

/** Names parted by commas; one that is negated and fits excludes, whatever else fits. */
function namePatterns(text: string): (name: string) => boolean {
  const patterns = text.split(',').map((entry) => {
    const isNegated = entry.startsWith('!')
    const pattern = (isNegated ? entry.slice(1) : entry).toLowerCase()
    // `[*]:22` is a bracketed name, not a set of characters.
    if (pattern === '' || !/^[\x21-\x7e]+$/.test(pattern)) throw invalid('has an empty or unprintable name')
    return { isNegated, pattern }
  })
  return (name) => {
    const fitting = patterns.filter(({ pattern }) => fitsWildcards(name, pattern))
    return fitting.length > 0 && !fitting.some(({ isNegated }) => isNegated)
  }
}

function invalid(what: string): SallyportError {
  return new SallyportError('invalid_option', what)
}
