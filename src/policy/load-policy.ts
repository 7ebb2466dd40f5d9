import {
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Document,
  type Node,
  type Pair,
  parseDocument,
} from 'yaml'
import { type Policy, SallyportError } from '../core/index.js'
import { compilePolicy } from './create-policy.js'
import { checkRules } from './policy-check.js'
import { re2jsEngine, type RegexEngine } from './regex-engine.js'
import type { FileRule, PolicyDefaults, PolicyMode } from './rule.js'
import { checkRule } from './rule-check.js'
import { fileRuleShape, policyFileShape } from './rule-shape.js'
import { checkShape, isRecord, type Path, type ShapeProblem } from './shape.js'

export interface LoadPolicyOptions {
  /** Default: by the file name's ending, else `yaml` (of which JSON is a part). */
  readonly format?: 'yaml' | 'json'
  /** For messages. */
  readonly fileName?: string
  /** What compiles text patterns. Default: RE2 in JavaScript. */
  readonly regexEngine?: RegexEngine
}

/** Something wrong with a policy file. Lines and columns count from 1. */
export interface PolicyProblem {
  readonly fileName: string
  readonly line: number
  readonly column: number
  readonly message: string
  readonly hint?: string
}

/** A policy is read by people; more than this was not written by one. About 30,000 rules. */
const MAX_TEXT_LENGTH = 8 * 1024 * 1024
/** How often aliases may be used in all: sharing a match is fine, a bomb is not. */
const MAX_ALIASES = 100

interface PolicyFile {
  readonly version: 1
  readonly mode?: PolicyMode
  readonly defaults?: PolicyDefaults
  readonly rules: readonly FileRule[]
}

/**
 * Reads a policy file.
 *
 * @throws SallyportError `invalid_policy` whose message lists every problem as `file:line:column: what is wrong
 * (what to do)`, one a line. A file with a problem is no policy at all: nothing laxer takes its place.
 * @example
 * const policy = loadPolicy(readFileSync('policy.yaml', 'utf8'), { fileName: 'policy.yaml' })
 */
export function loadPolicy(text: string, options: LoadPolicyOptions = {}): Policy {
  const { problems, file } = read(text, options)
  if (file === undefined) throw new SallyportError('invalid_policy', problems.map(formatProblem).join('\n'))
  return compilePolicy(file, options.regexEngine ?? re2jsEngine)
}

/** Every problem of a policy file, in the order of its lines. Empty: the file is a policy. */
export function checkPolicy(text: string, options: LoadPolicyOptions = {}): readonly PolicyProblem[] {
  return read(text, options).problems
}

/** `file:line:column: what is wrong (what to do)` */
export function formatProblem({ fileName, line, column, message, hint }: PolicyProblem): string {
  return `${fileName}:${line}:${column}: ${message}${hint === undefined ? '' : ` (${hint})`}`
}

function read(
  text: string,
  options: LoadPolicyOptions,
): { readonly problems: readonly PolicyProblem[]; readonly file?: PolicyFile } {
  const fileName = options.fileName ?? 'policy'
  const lines = new LineCounter()
  const problem = (offset: number, message: string, hint?: string): PolicyProblem => {
    const { line, col } = lines.linePos(offset)
    return {
      fileName,
      line: Math.max(1, line),
      column: Math.max(1, col),
      message,
      ...(hint === undefined ? {} : { hint }),
    }
  }
  if (text.length > MAX_TEXT_LENGTH) {
    return { problems: [problem(0, `longer than ${MAX_TEXT_LENGTH} characters`)] }
  }
  const format = options.format ?? (/\.json$/i.test(fileName) ? 'json' : 'yaml')
  let document: Document.Parsed
  let value: unknown
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'error' })
    const broken = [...document.errors, ...document.warnings]
    if (broken.length > 0) {
      return { problems: inOrder(broken.map((error) => problem(error.pos[0], firstLine(error.message)))) }
    }
    const refused = format === 'json' ? complaintOfJson(text) : undefined
    if (refused !== undefined) return { problems: [problem(refused.offset, refused.message)] }
    value = document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    // Deep nesting exhausts the parser's stack, alias bombs its patience; neither is a policy.
    return {
      problems: [problem(0, `cannot be read: ${firstLine(error instanceof Error ? error.message : String(error))}`)],
    }
  }
  const found = findProblems(value, options.regexEngine ?? re2jsEngine)
  const problems = found.map(({ path, at, message, hint }) => problem(offsetOf(document, path, at), message, hint))
  return isPolicyFile(value, found) ? { problems: [], file: value } : { problems: inOrder(problems) }
}

function findProblems(value: unknown, engine: RegexEngine): readonly ShapeProblem[] {
  const problems: ShapeProblem[] = []
  checkShape(policyFileShape, value, [], problems)
  const rules: unknown = isRecord(value) ? value.rules : undefined
  if (!Array.isArray(rules)) return problems
  let areAllSound = true
  // Rules of the right shape are checked further even where others are not: every problem is told at once.
  for (const [index, rule] of rules.entries()) {
    if (!isFileRule(rule)) areAllSound = false
    else problems.push(...checkRule(rule, ['rules', index], engine))
  }
  if (areAllSound) problems.push(...checkRules(rules.filter(isFileRule)))
  return problems
}

function isFileRule(value: unknown): value is FileRule {
  const problems: ShapeProblem[] = []
  checkShape(fileRuleShape, value, [], problems)
  return problems.length === 0
}

function isPolicyFile(value: unknown, problems: readonly ShapeProblem[]): value is PolicyFile {
  return problems.length === 0 && isRecord(value)
}

function inOrder(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  return [...problems].sort((left, right) => left.line - right.line || left.column - right.column)
}

/** YAML takes more than JSON allows. */
function complaintOfJson(text: string): { readonly offset: number; readonly message: string } | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { offset: Number(/position (\d+)/.exec(message)?.[1] ?? 0), message: 'is YAML, but no JSON' }
  }
}

function firstLine(message: string): string {
  const [line = ''] = message.split('\n')
  return line.replace(/[.:]$/, '').replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase())
}

/** Where in the text a path stands; where its nearest existing ancestor does if it is absent. */
function offsetOf(document: Document.Parsed, path: Path, at: 'key' | 'value'): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [index, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document)
    if (!isCollection(node)) break
    const isLast = index === path.length - 1
    if (isMap(node)) {
      const pair: Pair<unknown, unknown> | undefined = node.items.find(
        ({ key }) => (isScalar(key) ? String(key.value) : undefined) === String(part),
      )
      if (pair === undefined) break
      const found = isLast && at === 'key' ? startOf(pair.key) : (startOf(pair.value) ?? startOf(pair.key))
      offset = found ?? offset
      node = pair.value
    } else {
      node = node.get(part, true)
      offset = startOf(node) ?? offset
    }
  }
  return offset
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? rangeStart(node) : undefined
}

function rangeStart(node: Node): number | undefined {
  return node.range?.[0]
}
