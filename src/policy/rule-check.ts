import { textPatterns } from './compile-match.js'
import { columnEntries, tableEntries } from './fact-tests.js'
import { many, type Match } from './match.js'
import type { RegexEngine } from './regex-engine.js'
import type { Rule } from './rule.js'
import { CLASSES, WRITE_MODES } from './rule-shape.js'
import { compileGlob } from './glob.js'
import { matchImplies } from './implies.js'
import { FACT_KEYS, KINDS_OF_PROTOCOLS, kindsOf, scopedKeys, usesKey } from './scope.js'
import { isRecord, type Path, type ShapeProblem } from './shape.js'
import { complainAboutWindow } from './time-window.js'

/** The least harmful class that a statement with this leading word can have. */
const CLASS_OF_VERB: Readonly<Record<string, (typeof CLASSES)[number]>> = {
  insert: 'write',
  update: 'write',
  delete: 'write',
  truncate: 'write',
  merge: 'write',
  create: 'ddl',
  alter: 'ddl',
  drop: 'ddl',
  grant: 'dcl',
  revoke: 'dcl',
}

const PEACEFUL = ['read', 'transaction', 'session']

/**
 * What is wrong with a rule whose shape is right: above all, that it could never fire.
 */
export function checkRule(rule: Rule, path: Path, engine: RegexEngine): readonly ShapeProblem[] {
  const problems: ShapeProblem[] = []
  const complain = (at: Path, message: string, hint?: string): void => {
    problems.push({ path: [...path, ...at], at: 'value', message, ...(hint === undefined ? {} : { hint }) })
  }
  const { match, effect } = rule
  if (match !== undefined) {
    checkMatch(match, ['match'], engine, complain)
    checkOpposite(match, effect === 'allow', complain)
    if (effect === 'allow') checkPermission(match, complain)
  }
  checkTerminal(rule, complain)
  if (effect === undefined && !carriesObligations(rule)) {
    complain([], `rule \`${rule.id}\` does nothing`, 'give it an effect, or something to mask, cap, record or alert')
  }
  if (effect !== 'hold' && rule.hold !== undefined) {
    complain(['hold'], 'hold terms belong to effect `hold`', 'set `effect: hold`, or leave them out')
  }
  if (effect === undefined && (rule.message ?? rule.hint) !== undefined) {
    complain(
      [rule.message === undefined ? 'hint' : 'message'],
      'a rule without effect never decides, so nobody is told',
    )
  }
  checkStrategies(rule, complain)
  if (rule.evenIfUnparsed === true) {
    if (effect !== 'allow' && effect !== 'hold') {
      complain(
        ['evenIfUnparsed'],
        '`evenIfUnparsed` belongs to effect `allow` or `hold`',
        'a deny covers such commands anyway',
      )
    } else if (match !== undefined && usesKey(match, FACT_KEYS)) {
      complain(
        ['evenIfUnparsed'],
        'can never fire for a command that could not be parsed: the match asks what only a parse can tell',
        'match by subject, resource or text only',
      )
    }
  }
  if (match === undefined) return problems
  const certainties = many(match.certainty)
  if (certainties.length > 0 && certainties.every((certainty) => certainty === 'unparsed')) {
    if (usesKey(match, FACT_KEYS)) {
      complain(['match', 'certainty'], 'can never fire: nothing is known of a command that could not be parsed')
    } else if ((effect === 'allow' || effect === 'hold') && rule.evenIfUnparsed !== true) {
      complain(
        ['match', 'certainty'],
        'can never fire: commands that could not be parsed are denied',
        'say `evenIfUnparsed: true` to have them judged all the same',
      )
    }
  }
  if (effect === 'hold' && match.phases !== undefined && !many(match.phases).includes('execute')) {
    complain(['match', 'phases'], 'a hold never acts while a text is only prepared', 'add `execute`')
  }
  return problems
}

type Complain = (at: Path, message: string, hint?: string) => void

function checkMatch(match: Match, path: Path, engine: RegexEngine, complain: Complain): void {
  checkClasses(match, path, complain)
  checkScope(match, path, complain)
  checkTexts(match, path, engine, complain)
  many(match.time).forEach((window, index) => {
    const complaint = complainAboutWindow(window)
    const at = Array.isArray(match.time) ? [...path, 'time', index] : [...path, 'time']
    if (complaint !== undefined) complain(at, complaint.message, complaint.hint)
  })
  const { not } = match
  if (not === undefined) return
  if (Object.values(not).every((value) => value === undefined)) {
    complain([...path, 'not'], 'can never fire: an empty match matches everything, so its opposite matches nothing')
    return
  }
  checkMatch(not, [...path, 'not'], engine, complain)
}

function checkOpposite({ not, ...rest }: Match, isPermission: boolean, complain: Complain): void {
  if (not === undefined || Object.values(not).every((value) => value === undefined)) return
  // A prohibition of `tables: x, not tables: x` has a meaning: it fires where `x` and something else are used.
  if (!isPermission && usesKey(not, [...FACT_KEYS, 'requests', 'names', 'subjectTypes', 'text'])) return
  if (matchImplies(rest, not, { isPermission })) {
    complain(['match', 'not'], 'can never fire: `not` excludes everything that the rest of the match asks for')
  }
}

function checkClasses(match: Match, path: Path, complain: Complain): void {
  if (match.classes === undefined) return
  const classes = many(match.classes)
  const worst = Math.max(...classes.map((name) => CLASSES.indexOf(name)))
  const verbs = many(match.verbs).map((verb) => verb.toLowerCase())
  const least = verbs.map((verb) => CLASS_OF_VERB[verb.split(' ')[0] ?? ''])
  if (verbs.length > 0 && least.every((name) => name !== undefined && CLASSES.indexOf(name) > worst)) {
    complain(
      [...path, 'classes'],
      `can never fire: \`${verbs.join('`, `')}\` is never of class \`${classes.join('`, `')}\``,
      `its class is \`${least[0] ?? 'unknown'}\` or worse; leave one of the two out`,
    )
    return
  }
  if (!classes.every((name) => PEACEFUL.includes(name))) return
  if (match.missingWhere === true) {
    complain([...path, 'missingWhere'], `can never fire: class \`${classes.join('`, `')}\` has no UPDATE or DELETE`)
  }
  const entries = tableEntries(match)
  const writes = new Set<string>([...WRITE_MODES, 'ddl'])
  if (
    entries.length > 0 &&
    entries.every(({ modes }) => modes !== undefined && [...modes].every((mode) => writes.has(mode)))
  ) {
    complain([...path, 'tables'], `can never fire: class \`${classes.join('`, `')}\` does not write`)
  }
  const columns = columnEntries(match)
  if (
    columns.length > 0 &&
    columns.every(({ modes }) => modes !== undefined && [...modes].every((mode) => mode === 'write'))
  ) {
    complain([...path, 'columns'], `can never fire: class \`${classes.join('`, `')}\` does not write`)
  }
}

function checkScope(match: Match, path: Path, complain: Complain): void {
  checkKinds(match, path, complain)
  const dialects = many(match.dialects)
  const known = many(match.protocols).filter((name) => ['postgres', 'mysql', 'mariadb'].includes(name))
  if (dialects.length > 0 && known.length > 0 && known.length === many(match.protocols).length) {
    const isPossible = known.some((name) =>
      dialects.some((dialect) => (name === 'postgres') === (dialect === 'postgres')),
    )
    if (!isPossible) complain([...path, 'dialects'], 'can never fire: none of the protocols speaks one of the dialects')
  }
  if (match.touchesFiles === false && match.touchesPrograms === true) {
    complain([...path, 'touchesFiles'], 'can never fire: what runs programs counts as touching files')
  }
}

/** No command is of two kinds. */
function checkKinds(match: Match, path: Path, complain: Complain): void {
  const about = kindsOf(match)
  if (about === undefined) return
  const keys = scopedKeys(match)
  const told = `\`${[...new Set(keys)].join('`, `')}\``
  const known = [...about].join('`, `')
  if (about.size === 0) {
    complain(path, `can never fire: no command has all of ${told}`, 'make them rules of their own')
    return
  }
  const kinds = many(match.kinds)
  const possible = kinds.length === 0 ? [...about] : kinds.filter((kind) => about.has(kind))
  if (possible.length === 0) {
    const wanted = `\`${kinds.join('`, `')}\` is ${known === 'sql' ? 'not SQL' : `not of kind \`${known}\``}`
    complain(
      [...path, 'kinds'],
      `can never fire: ${wanted}, but ${told} of the match ${keys.length === 1 ? 'is' : 'are'} about that alone`,
    )
    return
  }
  const carried = many(match.protocols).map((protocol) =>
    Object.hasOwn(KINDS_OF_PROTOCOLS, protocol) ? KINDS_OF_PROTOCOLS[protocol] : undefined,
  )
  if (
    carried.length > 0 &&
    carried.every((list) => list !== undefined && !list.some((kind) => possible.includes(kind)))
  ) {
    complain(
      [...path, 'protocols'],
      `can never fire: none of the protocols carries commands of kind \`${possible.join('`, `')}\``,
    )
  }
  const requests = many(match.requests).map((source) => compileGlob(source))
  if (
    requests.length > 0 &&
    possible.every((kind) => kind === 'terminal') &&
    !requests.some((glob) => glob.test('shell'))
  ) {
    complain([...path, 'requests'], 'can never fire: what starts a terminal is the request `shell`')
  }
}

/** A permission by the side effects of a command line alone would permit any program to have them. */
function checkPermission(match: Match, complain: Complain): void {
  const key = (['files', 'hosts', 'ports'] as const).find((name) => match[name] !== undefined)
  if (key === undefined || (match.programs ?? match.text) !== undefined) return
  const kinds = kindsOf(match)
  const possible = match.kinds === undefined ? [...(kinds ?? [])] : many(match.kinds).filter((kind) => kinds?.has(kind))
  if (possible.length > 0 && possible.every((kind) => kind === 'shell')) {
    complain(
      ['match', key],
      `can never fire: a permission of command lines by \`${key}\` has to say which programs may run`,
      'add `programs`',
    )
  }
}

function checkTerminal({ terminal, allowsRawTerminal, match }: Rule, complain: Complain): void {
  const key = terminal !== undefined ? 'terminal' : allowsRawTerminal !== undefined ? 'allowsRawTerminal' : undefined
  if (key === undefined || match === undefined) return
  const about = kindsOf(match)
  const kinds = many(match.kinds)
  if ((about !== undefined && !about.has('terminal')) || (kinds.length > 0 && !kinds.includes('terminal'))) {
    complain([key], `\`${key}\` is about interactive shells, but the match is not`, 'match by `kinds: terminal`')
  }
}

function checkTexts(match: Match, path: Path, engine: RegexEngine, complain: Complain): void {
  if (match.text === undefined) return
  for (const { pattern, caseSensitive } of textPatterns(match.text)) {
    const at = [...path, 'text', ...pathOf(match.text, pattern)]
    if (!caseSensitive && /[\u017f\u212a]/.test(pattern)) {
      complain(
        at,
        'the long s and the Kelvin sign are never matched without regard to case',
        'set `caseSensitive: true`',
      )
      continue
    }
    try {
      engine.compile(pattern, { caseSensitive })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      complain(
        at,
        `no valid RE2 pattern: ${reason.replace(/\s+/g, ' ')}`,
        'RE2 has no look-around and no back-references',
      )
    }
  }
}

/** Where in a matcher a pattern stands. */
function pathOf(value: unknown, pattern: string): Path {
  if (Array.isArray(value)) {
    for (const [index, entry] of value.entries()) {
      const found = entry === pattern ? [] : typeof entry === 'string' ? undefined : findIn(entry, pattern)
      if (found !== undefined) return [index, ...found]
    }
  }
  return findIn(value, pattern) ?? []
}

function findIn(value: unknown, pattern: string): Path | undefined {
  if (!isRecord(value)) return undefined
  const { patterns } = value
  if (patterns === pattern) return ['patterns']
  const index = Array.isArray(patterns) ? patterns.indexOf(pattern) : -1
  return index < 0 ? undefined : ['patterns', index]
}

/** A strategy says what it needs and nothing that belongs to another. */
function checkStrategies({ mask }: Rule, complain: Complain): void {
  for (const list of ['columns', 'detectors'] as const) {
    for (const [index, entry] of (mask?.[list] ?? []).entries()) {
      const strategy = typeof entry === 'string' ? undefined : entry.strategy
      if (strategy === undefined || typeof strategy === 'string') continue
      const at = ['mask', list, index, 'strategy']
      const { kind } = strategy
      if (kind === 'constant' && !('value' in strategy)) complain(at, 'strategy `constant` has no `value`')
      for (const key of ['keepFirst', 'keepLast']) {
        if (kind !== 'partial' && key in strategy) complain([...at, key], `\`${key}\` belongs to strategy \`partial\``)
      }
      if (kind !== 'constant' && 'value' in strategy)
        complain([...at, 'value'], '`value` belongs to strategy `constant`')
    }
  }
}

function carriesObligations(rule: Rule): boolean {
  const { mask, maxRows, maxBytes, recordLevel, terminal, allowsRawTerminal, alert } = rule
  return [mask?.columns ?? mask?.detectors, maxRows, maxBytes, recordLevel, terminal, allowsRawTerminal, alert].some(
    (part) => part !== undefined,
  )
}
