/**
 * One text per value: keys sorted, undefined left out, functions by their source. For digests and for
 * comparing what two rules say; not meant to be read back.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'function') return JSON.stringify({ function: String(value) })
  if (Array.isArray(value)) return `[${value.map((entry) => canonicalJson(entry)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value)
    .filter(([, entry]) => entry !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
  return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`).join(',')}}`
}
