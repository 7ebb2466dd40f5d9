import { fitsWildcards } from '../../core/index.js'

/** An address as 4 or 16 bytes. */
export type AddressBytes = readonly number[]

/**
 * The bytes of an IPv4 or IPv6 address. IPv4 addresses mapped into IPv6 (`::ffff:10.0.0.1`, as sockets that listen on both
 * report them) are the IPv4 address; a zone (`%eth0`) is dropped. Undefined: not an address.
 */
export function parseAddress(text: string): AddressBytes | undefined {
  const bare = text.split('%', 1)[0] ?? ''
  if (!bare.includes(':')) return parseV4(bare)
  const bytes = parseV6(bare)
  if (bytes === undefined) return undefined
  const isMapped = bytes.every((byte, at) => at >= 12 || byte === (at === 10 || at === 11 ? 0xff : 0))
  return isMapped ? bytes.slice(12) : bytes
}

/** Addresses that share their first `bits` with `address`. */
export interface AddressBlock {
  readonly address: AddressBytes
  readonly bits: number
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Undefined: malformed, or with bits set behind the prefix. */
export function parseAddressBlock(text: string): AddressBlock | undefined {
  const [base = '', length, ...rest] = text.split('/')
  if (rest.length > 0 || base.includes('%')) return undefined
  const address = base.includes(':') ? parseV6(base) : parseV4(base)
  if (address === undefined) return undefined
  const size = address.length * 8
  if (length !== undefined && !/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined
  const bits = length === undefined ? size : Number(length)
  if (bits > size || !isZeroBehind(address, bits)) return undefined
  return { address, bits }
}

/** Whether `address`, as {@link parseAddress} gives it, is in the block. */
export function isInBlock(address: AddressBytes, block: AddressBlock): boolean {
  if (address.length !== block.address.length) return false
  for (let bit = 0; bit < block.bits; bit += 8) {
    const count = Math.min(8, block.bits - bit)
    const mask = (0xff << (8 - count)) & 0xff
    const at = bit >> 3
    if ((((address[at] as number) ^ (block.address[at] as number)) & mask) !== 0) return false
  }
  return true
}

function isZeroBehind(address: AddressBytes, bits: number): boolean {
  return address.every((byte, at) => {
    const kept = Math.min(8, Math.max(0, bits - at * 8))
    return (byte & (0xff >> kept)) === 0
  })
}

function parseV4(text: string): number[] | undefined {
  const parts = text.split('.')
  // No leading zeros: some read them as octal.
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part))) return undefined
  const bytes = parts.map(Number)
  return bytes.every((byte) => byte <= 0xff) ? bytes : undefined
}

function parseV6(text: string): number[] | undefined {
  const halves = text.split('::')
  if (halves.length > 2 || text.length > 45) return undefined
  const [head, tail] = [groups(halves[0] ?? '', halves.length === 1), groups(halves[1] ?? '', true)]
  if (head === undefined || tail === undefined) return undefined
  if (halves.length === 1) return head.length === 16 ? head : undefined
  const missing = 16 - head.length - tail.length
  return missing < 2 ? undefined : [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/** Groups parted by colons; at the end of an address the last may be an IPv4 address. */
function groups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (const [at, part] of parts.entries()) {
    if (isEnd && at === parts.length - 1 && part.includes('.')) {
      const v4 = parseV4(part)
      if (v4 === undefined) return undefined
      bytes.push(...v4)
    } else {
      if (!/^[0-9A-Fa-f]{1,4}$/.test(part)) return undefined
      const value = Number.parseInt(part, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}

/** Tells whether a client's address is one of those listed. */
export type AddressTest = (address: string | undefined) => boolean

/**
 * Reads the `source-address` option of a certificate: blocks parted by commas. Undefined: not understood, so that nobody may
 * be let in by it.
 *
 * @see PROTOCOL.certkeys of OpenSSH
 */
export function parseSourceAddresses(list: string): AddressTest | undefined {
  const blocks = list.split(',').map(parseAddressBlock)
  if (blocks.includes(undefined)) return undefined
  return (text) => {
    const address = text === undefined ? undefined : parseAddress(text)
    // Fails closed: an address that is not known is in no block.
    return address !== undefined && blocks.some((block) => block !== undefined && isInBlock(address, block))
  }
}

/**
 * Reads the `from` option of an authorised key: addresses, blocks, and patterns of `*` and `?` over addresses, each of which
 * may be negated by `!`; one that is negated and fits refuses, whatever else fits. Undefined: not understood. Host names are
 * not: whoever answers for the name service would decide on them.
 *
 * @see sshd(8), AUTHORIZED_KEYS FILE FORMAT
 */
export function parseFromPatterns(list: string): AddressTest | undefined {
  const tests: { readonly isNegated: boolean; fits(address: AddressBytes, text: string): boolean }[] = []
  for (const entry of list.split(',')) {
    const isNegated = entry.startsWith('!')
    const pattern = isNegated ? entry.slice(1) : entry
    const block = parseAddressBlock(pattern)
    if (block !== undefined) {
      tests.push({ isNegated, fits: (address) => isInBlock(address, block) })
    } else if (/^[0-9A-Fa-f.:*?]+$/.test(pattern) && /[*?]/.test(pattern)) {
      tests.push({ isNegated, fits: (_, text) => fitsWildcards(text, pattern.toLowerCase()) })
    } else {
      return undefined
    }
  }
  return (text) => {
    const address = text === undefined ? undefined : parseAddress(text)
    if (address === undefined) return false
    const shown = showAddress(address)
    const fitting = tests.filter((test) => test.fits(address, shown))
    return fitting.length > 0 && !fitting.some((test) => test.isNegated)
  }
}

/** The usual way to write it, zeros shortened once, for patterns to be compared with (RFC 5952). */
export function showAddress(address: AddressBytes): string {
  if (address.length === 4) return address.join('.')
  const parts: string[] = []
  for (let at = 0; at < 16; at += 2) parts.push((((address[at] ?? 0) << 8) | (address[at + 1] ?? 0)).toString(16))
  let start = 0
  let length = 0
  for (let at = 0; at < 8; at++) {
    let end = at
    while (end < 8 && parts[end] === '0') end++
    if (end - at > length) [start, length] = [at, end - at]
  }
  if (length < 2) return parts.join(':')
  return `${parts.slice(0, start).join(':')}::${parts.slice(start + length).join(':')}`
}
