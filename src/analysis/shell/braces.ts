/**
 * What bash makes of `a{b,c}d` and `{1..3}`, on words as written: quotes stay in place. Undefined where that would be
 * more than `maxWords` words.
 */
export function expandBraces(word: string, maxWords: number): readonly string[] | undefined {
  const group = findGroup(word, 0)
  if (group === undefined) return [word]
  const before = word.slice(0, group.open)
  const rest = expandBraces(word.slice(group.close + 1), maxWords)
  if (rest === undefined) return undefined
  const middles: string[] = []
  for (const alternative of group.alternatives) {
    const words = group.isSequence ? [alternative] : expandBraces(alternative, maxWords)
    if (words === undefined) return undefined
    middles.push(...words)
    if (middles.length * rest.length > maxWords) return undefined
  }
  return middles.flatMap((middle) => rest.map((end) => before + middle + end))
}

interface Group {
  readonly open: number
  readonly close: number
  readonly alternatives: readonly string[]
  readonly isSequence: boolean
}

/** The first pair of braces that has a comma of its own or is a sequence. */
function findGroup(word: string, from: number): Group | undefined {
  for (let at = from; at < word.length; at = skip(word, at)) {
    if (word[at] !== '{') continue
    const group = groupAt(word, at)
    if (group !== undefined) return group
  }
  return undefined
}

function groupAt(word: string, open: number): Group | undefined {
  const cuts: number[] = []
  let depth = 0
  for (let at = open + 1; at < word.length; at = skip(word, at)) {
    const character = word[at]
    if (character === '{') depth++
    else if (character === ',' && depth === 0) cuts.push(at)
    else if (character === '}' && depth-- === 0) {
      const body = word.slice(open + 1, at)
      if (cuts.length === 0) {
        const sequence = sequenceOf(body)
        return sequence === undefined ? undefined : { open, close: at, alternatives: sequence, isSequence: true }
      }
      const edges = [open, ...cuts, at]
      const alternatives = edges.slice(1).map((edge, index) => word.slice((edges[index] ?? 0) + 1, edge))
      return { open, close: at, alternatives, isSequence: false }
    }
  }
  return undefined
}

/** The place behind the character, quoted part, escape or `${...}` at `at`. */
function skip(word: string, at: number): number {
  const character = word[at]
  if (character === '\\') return at + 2
  if (character === "'" || character === '"') {
    for (let end = at + 1; end < word.length; end++) {
      if (word[end] === '\\' && (character === '"' || word[at - 1] === '$')) end++
      else if (word[end] === character) return end + 1
    }
    return word.length
  }
  if (character === '$' && word[at + 1] === '{') {
    const end = word.indexOf('}', at)
    return end < 0 ? word.length : end + 1
  }
  return at + 1
}

const MAX_SEQUENCE = 1000

function sequenceOf(body: string): readonly string[] | undefined {
  const numbers = /^(-?\d{1,9})\.\.(-?\d{1,9})(?:\.\.(-?\d{1,9}))?$/.exec(body)
  const letters = numbers === null ? /^([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d{1,9}))?$/.exec(body) : null
  const found = numbers ?? letters
  if (found === null) return undefined
  const [, first = '', last = '', by] = found
  const read = (part: string): number => (numbers !== null ? Number(part) : part.charCodeAt(0))
  const from = read(first)
  const to = read(last)
  const step = Math.max(1, Math.abs(Number(by ?? 1)))
  if (Math.abs(to - from) / step > MAX_SEQUENCE) return undefined
  const isPadded = numbers !== null && [first, last].some((part) => /^-?0\d/.test(part))
  const width = isPadded ? Math.max(first.length, last.length) : 0
  const show = (value: number): string => {
    if (numbers === null) return String.fromCharCode(value)
    return value < 0 ? `-${String(-value).padStart(width - 1, '0')}` : String(value).padStart(width, '0')
  }
  const words: string[] = []
  for (let value = from; from <= to ? value <= to : value >= to; value += from <= to ? step : -step) {
    words.push(show(value))
  }
  return words
}
