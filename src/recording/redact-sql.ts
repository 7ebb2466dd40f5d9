import { cutRanges, type Range } from './redaction-ranges.js'

/** One cheap look that tells most texts apart from those worth the walk below. */
const SUSPICIOUS = /passw|passphrase|pwd|secret|_?key|_?token|identified|crypt|hmac|:\/\//i

/** Names after which a literal is a secret. A longer name that ends in one counts (`sslpassword`, `MASTER_PASSWORD`). */
const SECRET_NAME =
  /(?:password|passwd|passphrase|pwd|secret|api_?key|access_?key|private_?key|access_?token|auth_?token|identified)(?![A-Za-z0-9_])/gi

/** Functions that are handed keys and passwords: every literal between their parentheses goes. */
const SECRET_FUNCTION = /(?:crypt|hmac|encrypt|decrypt|encrypt_iv|decrypt_iv|(?:en|de)crypt_bytea)\s*\(/gi

/** Words that may stand between the name and its literal. */
const LINKING_WORD = /^(?:to|by|as|is|in|not|like|with|using|encrypted|default)$/i

/** What between `password =` and the next blank is plainly no secret: a bound value, a default. */
const NO_SECRET = /^(?:\$\d+|\?|:\w+|null|default)$/i

/** How far a literal may stand behind its name. What is padded further than this is taken out to the end of the text. */
const MAX_GAP = 4096

/**
 * Takes literals that are secrets out of a SQL text: after PASSWORD, IDENTIFIED BY, an option or column
 * named like a secret, in connection strings (`password=...`, `scheme://user:...@host`) and in calls of
 * pgcrypto functions; inside nested string literals and function bodies too.
 *
 * It works on how things look and not on a parse, so that it also holds for texts nobody can parse and under every
 * setting that changes how quotes are read. Where readings differ the longer one goes: it may take too much, which the
 * recorded commitment to the exact text makes up for. A secret that carries no telling name is not found; mask those by policy.
 *
 * @returns the same string when nothing was found
 * @example redactSecretsInSql("ALTER ROLE a PASSWORD 'x'") // "ALTER ROLE a PASSWORD '[redacted]'"
 */
export function redactSecretsInSql(text: string): string {
  if (!SUSPICIOUS.test(text)) return text
  const ranges: Range[] = []
  collectNamed(text, ranges)
  collectCalls(text, ranges)
  collectUris(text, ranges)
  return cutRanges(text, ranges)
}

function collectNamed(text: string, ranges: Range[]): void {
  SECRET_NAME.lastIndex = 0
  for (let match = SECRET_NAME.exec(text); match !== null; match = SECRET_NAME.exec(text)) {
    const range = secretAfter(text, SECRET_NAME.lastIndex)
    if (range === undefined) continue
    if (range.end > range.start) ranges.push(range)
    // Behind the secret, so that the walk stays linear however often the name comes.
    if (range.end > SECRET_NAME.lastIndex) SECRET_NAME.lastIndex = range.end
  }
}

/** The literal or bare value that follows a secret's name, if one does. */
function secretAfter(text: string, from: number): Range | undefined {
  let position = from
  let isAssigned = false
  // The quote that closes the name itself: "password", `password`, and ''password'' inside a literal.
  while (position < text.length && position < from + 4 && isOneOf(text, position, '"`\'\\')) position++
  if (position > from && (text[from] === "'" || text[from] === '\\')) {
    // It may as well open the secret: PASSWORD'x'. Only a separator behind it tells that it closed the name.
    if (!/^\s*(?:[:=,]|$)/.test(text.slice(position, position + 64))) position = from
  }
  while (position < text.length) {
    const next = skipBlank(text, position)
    if (next - from > MAX_GAP) return { start: from, end: text.length }
    if (next !== position) {
      position = next
      continue
    }
    const literal = literalAt(text, position)
    if (literal !== undefined) return literal
    if (isOneOf(text, position, '=:(,')) {
      isAssigned ||= text[position] === '='
      position++
      continue
    }
    const word = /^[A-Za-z_]+/.exec(text.slice(position, position + 32))?.[0]
    // SET PASSWORD FOR user@host = 'x' has literals that are names in between: all of it goes.
    if (word?.toLowerCase() === 'for') return { start: position, end: endOfStatement(text, position) }
    if (word !== undefined && !isAssigned && LINKING_WORD.test(word)) {
      position += word.length
      continue
    }
    return isAssigned ? bareValueAt(text, position) : undefined
  }
  return undefined
}

/** `password=secret` as in a connection string. */
function bareValueAt(text: string, start: number): Range | undefined {
  let end = start
  while (end < text.length && !/[\s'"&;,)]/.test(text.charAt(end))) end++
  if (end === start || NO_SECRET.test(text.slice(start, Math.min(end, start + 32)))) return undefined
  return { start, end }
}

function collectCalls(text: string, ranges: Range[]): void {
  SECRET_FUNCTION.lastIndex = 0
  for (let match = SECRET_FUNCTION.exec(text); match !== null; match = SECRET_FUNCTION.exec(text)) {
    let depth = 1
    let position = SECRET_FUNCTION.lastIndex
    while (position < text.length && depth > 0) {
      const literal = literalAt(text, position)
      if (literal !== undefined) {
        ranges.push(literal)
        position = afterLiteral(text, literal)
        continue
      }
      if (text[position] === '(') depth++
      if (text[position] === ')') depth--
      position++
    }
    SECRET_FUNCTION.lastIndex = position
  }
}

function collectUris(text: string, ranges: Range[]): void {
  for (let at = text.indexOf('://'); at !== -1; ) {
    let end = at + 3
    while (end < text.length && !/[\s'"]/.test(text.charAt(end))) end++
    const rest = text.slice(at + 3, end)
    const lastAt = rest.lastIndexOf('@')
    const colon = rest.indexOf(':')
    if (lastAt !== -1 && colon !== -1 && colon < lastAt)
      ranges.push({ start: at + 3 + colon + 1, end: at + 3 + lastAt })
    at = text.indexOf('://', end)
  }
}

/** The inside of the string literal that begins here, under every prefix and at every depth of nesting. */
function literalAt(text: string, start: number): Range | undefined {
  let position = start
  // E'', B'', X'', N'' and U&''
  if (/[EBXNebxn]/.test(text.charAt(position)) && isOneOf(text, position + 1, "'\\")) position++
  else if (/^[Uu]&['\\]/.test(text.slice(position, position + 3))) position += 2
  const first = text[position]
  if (first === '$') return dollarQuotedAt(text, position)
  if (first === '"') return quotedAt(text, position, '"')
  if (first === "'" || (first === '\\' && text[position + 1] === "'")) return quotedAt(text, position, "'")
  return undefined
}

function dollarQuotedAt(text: string, start: number): Range | undefined {
  const tag = /^\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]{0,62})?\$/.exec(text.slice(start, start + 66))?.[0]
  if (tag === undefined) return undefined
  const end = text.indexOf(tag, start + tag.length)
  return { start: start + tag.length, end: end === -1 ? text.length : end }
}

/**
 * A literal inside `n` others has each of its quotes written 2^n times: the lowest set bit of the opening
 * run's length says how wide one quote is. It ends at a run that holds an odd number of such quotes.
 */
function quotedAt(text: string, start: number, quote: string): Range {
  let position = start
  while (text[position] === '\\') position++
  const run = runLength(text, position, quote)
  const width = run & -run
  const inside = position + width
  position = inside
  while (position < text.length) {
    // Fails closed: a quote behind a backslash may or may not end the literal; the longer reading is taken out.
    if (text[position] === '\\') {
      position += 2
      continue
    }
    const length = runLength(text, position, quote)
    if (length === 0) {
      position++
      continue
    }
    if (Math.floor(length / width) % 2 === 1) {
      // Of a longer run the first quotes belong to the content, the last one closes; what is left over closes what is around.
      const content = length - (length % width) - width
      return { start: inside, end: position + content }
    }
    position += length
  }
  return { start: inside, end: text.length }
}

function afterLiteral(text: string, literal: Range): number {
  let position = literal.end
  if (text[position] === '$') {
    const close = text.indexOf('$', position + 1)
    return close === -1 ? text.length : close + 1
  }
  while (position < text.length && isOneOf(text, position, '\'"')) position++
  return Math.max(position, literal.start)
}

function endOfStatement(text: string, start: number): number {
  const end = text.indexOf(';', start)
  return end === -1 ? text.length : end
}

function runLength(text: string, start: number, quote: string): number {
  let end = start
  while (text[end] === quote) end++
  return end - start
}

/** Blank space and comments. */
function skipBlank(text: string, start: number): number {
  let position = start
  while (position < text.length && /\s/.test(text.charAt(position))) position++
  if (text.startsWith('--', position)) {
    const end = text.slice(position).search(/[\r\n]/)
    return end === -1 ? text.length : position + end
  }
  if (text.startsWith('/*', position)) {
    const end = text.indexOf('*/', position + 2)
    return end === -1 ? text.length : end + 2
  }
  return position
}

function isOneOf(text: string, position: number, characters: string): boolean {
  return position < text.length && characters.includes(text.charAt(position))
}
