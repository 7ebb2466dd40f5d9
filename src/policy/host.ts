/**
 * A host as rules compare it: lower case, without brackets and final dot; addresses in their usual form, however they
 * were written (`0x7f.1`, `2130706433`, `::ffff:127.0.0.1`).
 *
 * @returns undefined for what stands for all hosts or none in particular
 */
export function normalizeHost(host: string | undefined): string | undefined {
  if (host === undefined || host === '' || host === '*') return undefined
  const bare = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.+$/, '')
  const isAddress6 = bare.includes(':')
  if (!isAddress6 && !/^[0-9a-fx.]+$/.test(bare)) return bare
  try {
    const canonical = new URL(`http://${isAddress6 ? `[${bare.replace(/%.*$/, '')}]` : bare}`).hostname
    return canonical === '' ? bare : mapped(canonical.replace(/^\[(.*)\]$/, '$1'))
  } catch {
    return bare
  }
}

/** An IPv4 address in the clothes of an IPv6 one. */
function mapped(address: string): string {
  const match = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address)
  if (match === null) return address
  const [high = 0, low = 0] = [match[1], match[2]].map((group = '') => Number.parseInt(group, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
