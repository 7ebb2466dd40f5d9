import { redactSecretsInSql } from './redact-sql.js'
import { cutRanges, type Range } from './redaction-ranges.js'
import { isSecretName, readsSecretFromInput, secretOptionsOf, type SecretOption } from './secret-options.js'
import { shellWords, type ShellWord, type ShellWords } from './shell-words.js'

/** Quotes inside quotes are looked into so deep: `ssh host 'sudo bash -c "..."'` is three. */
const MAX_DEPTH = 6

/** A value that names where the secret is, and is none itself. */
const REFERENCE = /^["']?\$(?:\w+|\{\w+\})["']?$/

/** Behind these the rest of the quoted text or line is a secret. A scheme's name stays. */
const HEADER =
  /\b(?:(?:proxy-)?authorization|x-[a-z-]*(?:key|token|secret|auth)[a-z-]*|private-token|job-token|api-?key|(?:set-)?cookie)\\?\s*:\\?\s*(?:(?:bearer|basic|digest|token|apikey|negotiate)\b\\?\s*)?/gi

/** A value in JSON or YAML behind a name like a secret's. */
const MEMBER = /\\*["']([\w.-]{1,64})\\*["']\s*:\s*(\\*["'])/g

/** Secrets that stand behind a word of their own. */
const MARKED = /(?:\bbearer\s+|\bpass:)([^\s'"`;|&()]+)/gi

/** A token in the place of a user name. */
const TOKEN_USER = /:\/\/([\w.~%-]{20,})@/g

const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----/g

/**
 * Takes secrets out of a command line: values of variables, options and headers whose name tells
 * (`PGPASSWORD=`, `--token`, `Authorization:`), of options that carry one for a known program (`mysql -p`, `curl -u`, `sshpass -p`),
 * what is piped or written to programs that read passwords, user names and passwords in URLs, private keys, and what
 * {@link redactSecretsInSql} finds; inside quotes too, so also behind `ssh`, `sh -c` and `sudo`.
 *
 * It works on how things look, like its sibling for SQL: in doubt more is taken out, which the commitment to the exact text
 * makes up for. A secret with no telling name or place is not found; mask those by policy.
 *
 * @returns the same string when nothing was found
 * @example redactSecretsInCommandLine('mysql -psecret') // 'mysql -p[redacted]'
 */
export function redactSecretsInCommandLine(text: string): string {
  const ranges: Range[] = []
  collectPatterns(text, ranges)
  collectWords(text, { start: 0, end: text.length }, 0, ranges)
  return redactSecretsInSql(cutRanges(text, ranges))
}

/** One cheap look that tells most texts apart from those worth the walks below. */
const MAY_MATCH = /authorization|x-|key|token|cookie|["']\s*:|bearer|pass:|:\/\/|-----BEGIN/i

function collectPatterns(text: string, ranges: Range[]): void {
  if (!MAY_MATCH.test(text)) return
  // Each walk goes on behind the secret it found, so that it stays linear however often the name comes.
  let read = 0
  for (const match of text.matchAll(HEADER)) {
    const start = match.index + match[0].length
    if (start < read) continue
    read = endBefore(text, start, /["'\n]/g)
    ranges.push({ start, end: read })
  }
  read = 0
  for (const match of text.matchAll(MEMBER)) {
    const start = match.index + match[0].length
    if (start < read || !isSecretName(match[1] ?? '')) continue
    const close = text.indexOf(match[2] ?? '"', start)
    read = close === -1 ? text.length : close
    ranges.push({ start, end: read })
  }
  for (const match of text.matchAll(MARKED)) {
    const end = match.index + match[0].length
    ranges.push({ start: end - (match[1] ?? '').length, end })
  }
  for (const match of text.matchAll(TOKEN_USER)) {
    ranges.push({ start: match.index + 3, end: match.index + match[0].length - 1 })
  }
  read = 0
  for (const match of text.matchAll(PRIVATE_KEY)) {
    if (match.index < read) continue
    const start = match.index + match[0].length
    const close = text.indexOf('-----END', start)
    read = close === -1 ? text.length : close
    ranges.push({ start, end: read })
  }
}

function collectWords(text: string, range: Range, depth: number, ranges: Range[]): void {
  let before: ShellWords | undefined
  for (const command of shellWords(text, range, depth > 0)) {
    collectCommand(text, command, ranges)
    if (readsSecretFromInput(command.words.map((word) => word.text))) {
      for (const word of command.hereStrings) addValue(text, word, word.start, ranges)
      if (command.isPiped && before !== undefined) collectPrinted(text, before, ranges)
      if (command.hasHereDocument) collectHereDocument(text, command, range, ranges)
    }
    before = command
    for (const { quoted } of command.words) {
      for (const inside of quoted) {
        if (!/[\s=]/.test(text.slice(inside.start, inside.end))) continue
        // Fails closed: what is too deep to be looked into is taken out as it is.
        if (depth >= MAX_DEPTH) ranges.push(inside)
        else collectWords(text, inside, depth + 1, ranges)
      }
    }
  }
}

function collectCommand(text: string, { words }: ShellWords, ranges: Range[]): void {
  const options: SecretOption[] = []
  for (const [index, word] of words.entries()) {
    if (text.slice(word.start, word.end).includes('=')) collectAssignments(text, word, ranges)
    const next = words[index + 1]
    if (next !== undefined && takesSecret(words, index) && !next.text.startsWith('-')) {
      addValue(text, next, next.start, ranges)
    }
    for (const option of options) collectOption(text, option, { words, index }, ranges)
    // Wherever it stands: behind sudo, env, xargs, timeout, and whatever else runs a command.
    options.push(...secretOptionsOf(word.text.slice(word.text.lastIndexOf('/') + 1)))
  }
}

/** Every `name=` of the word: `PGPASSWORD=x`, `--password=x`, `-Dkey.password=x`, `a=1&token=x`. */
function collectAssignments(text: string, word: ShellWord, ranges: Range[]): void {
  const raw = text.slice(word.start, word.end)
  for (const match of raw.matchAll(/([\w.-]{0,128})["']?=/g)) {
    const name = match[1] ?? ''
    const start = word.start + match.index
    if (!isSecretName(name) || isVariableOfInnerLine(text, word, { name, start })) continue
    addValue(text, word, start + match[0].length, ranges)
    return
  }
}

/** `ssh host 'PGPASSWORD=x psql'`: the value ends within the word. It is found when the inner line is looked at. */
function isVariableOfInnerLine(
  text: string,
  word: ShellWord,
  { name, start }: { readonly name: string; readonly start: number },
): boolean {
  if (!/^[A-Z][A-Z0-9_]*$/.test(name) || name === 'PWD') return false
  return word.quoted.some(
    (inside) =>
      inside.start <= start &&
      start < inside.end &&
      (inside.start === start || /\s/.test(text.charAt(start - 1))) &&
      /\s/.test(text.slice(start, inside.end)),
  )
}

/** Whether the word behind this one is a secret: an option with a telling name, or `set NAME`. */
function takesSecret(words: readonly ShellWord[], index: number): boolean {
  const word = words[index] as ShellWord
  if (!/^[\w.-]+$/.test(word.text) || !isSecretName(word.text)) return false
  return word.text.startsWith('-') || words.slice(0, index).some(({ text }) => /^(?:set|setx|put|config)$/.test(text))
}

function collectOption(
  text: string,
  option: SecretOption,
  { words, index }: { readonly words: readonly ShellWord[]; readonly index: number },
  ranges: Range[],
): void {
  const word = words[index] as ShellWord
  const { flag, form, behind, subcommand } = option
  if (subcommand !== undefined && !words.some((each) => each.text === subcommand)) return
  const isCluster = /^-[A-Za-z]$/.test(flag) && /^-[A-Za-z]{2,6}$/.test(word.text) && word.text.endsWith(flag.slice(1))
  if (form !== 'attached' && (word.text === flag || (isCluster && form === 'either' && behind !== undefined))) {
    const next = words[index + 1]
    if (next !== undefined) addBehind(text, next, next.start, behind, ranges)
    return
  }
  if (form === 'next' || word.text.length <= flag.length || !word.text.startsWith(flag)) return
  const at = text.indexOf(flag, word.start)
  // A flag with quotes inside it: then all of the word goes.
  const start = at === -1 || at >= word.end ? word.start : at + flag.length
  if (flag.startsWith('--') && text[start] !== '=') return
  addBehind(text, word, flag.startsWith('--') ? start + 1 : start, behind, ranges)
}

function addBehind(text: string, word: ShellWord, from: number, behind: string | undefined, ranges: Range[]): void {
  if (behind === undefined) return addValue(text, word, from, ranges)
  const at = text.indexOf(behind, from)
  if (at !== -1 && at < word.end) addValue(text, word, at + behind.length, ranges)
}

/** What `echo` or `printf` would write. */
function collectPrinted(text: string, { words }: ShellWords, ranges: Range[]): void {
  const [first, ...others] = words
  if (first === undefined || !/(?:^|\/)(?:echo|printf|print)$/.test(first.text)) return
  for (const word of others) if (!/^-[a-zA-Z]+$/.test(word.text)) addValue(text, word, word.start, ranges)
}

/** All lines behind the command's own: where the document ends is not looked for. */
function collectHereDocument(text: string, command: ShellWords, range: Range, ranges: Range[]): void {
  const start = text.indexOf('\n', command.end)
  if (start !== -1 && start < range.end) ranges.push({ start: start + 1, end: range.end })
}

/** The rest of a word, without the quotes around it where they are easily told. */
function addValue(text: string, word: ShellWord, from: number, ranges: Range[]): void {
  let start = from
  let end = word.end
  if (REFERENCE.test(text.slice(start, end))) return
  const first = text[start]
  const last = text[end - 1]
  if (end - start >= 2 && first === last && (first === '"' || first === "'")) {
    start++
    end--
  } else if (word.quoted.some((inside) => inside.end === end - 1 && inside.start <= start)) {
    end--
  }
  if (end > start) ranges.push({ start, end })
}

function endBefore(text: string, from: number, pattern: RegExp): number {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? text.length
}
