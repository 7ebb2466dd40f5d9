import type { ShellAnalyzer, ShellFacts, ShellReading, ShellSimpleCommand } from '../../core/index.js'
import { GenerationCache } from '../../core/generation-cache.js'
import { Collector } from './collector.js'
import type { Context } from './context.js'
import { Line } from './line.js'
import { START } from './paths.js'
import { isMisread, ShellProblem } from './problem.js'
import { variableEffect } from './variables.js'

export interface ShellAnalyzerOptions {
  /**
   * Whose reading counts. `any` (default): bash, dash, ash, ksh, mksh or zsh, whichever the target has; what they read
   * differently (`{a,b}`, `$'..'`, `[[ ]]`, `<( )`, arrays) is judged by every reading known, and never `exact`.
   * `bash`: the target is known to run bash, as `bash -c`. Neither covers csh, fish or PowerShell, which read
   * quotes in ways of their own: give users of a target such a shell only texts that are approved as they are.
   */
  readonly dialect?: 'bash' | 'any'
  /** Longer texts (in UTF-16 code units) stay unparsed. Default 131,072: Linux gives a program no longer argument. */
  readonly maxTextLength?: number
  /** Commands of one line. Default 2000. */
  readonly maxCommands?: number
  /** Words, paths and network targets of one line. Default 100,000: far above what people and tools write. */
  readonly maxEntries?: number
  /** Texts in texts, such as `sh -c "sh -c ..."`. Default 16. */
  readonly maxDepth?: number
  /** Judged texts that are kept. Default 10,000. */
  readonly maxCachedTexts?: number
  /** Their estimated memory. Default 16 MiB. */
  readonly maxCachedBytes?: number
}

/**
 * An analyzer of command lines, as they come in `exec` requests. It keeps no state but its cache: share it.
 *
 * Facts name more than a line does rather than less. A program that nothing is known about is taken to read, write and
 * delete every word that looks like a path. What a line does by way of files it runs (scripts, configuration, aliases of
 * the user's profile) is not in its text: such commands have the hazard `unseen-code`.
 *
 * @example
 * const analyzer = createShellAnalyzer()
 * analyzer.analyze('sudo env A=1 /bin/rm -fr /').commands[0]?.flags // ['force', 'recursive']
 */
export function createShellAnalyzer(options: ShellAnalyzerOptions = {}): ShellAnalyzer {
  return new CachingShellAnalyzer(options)
}

const MAX_HERE_DOCUMENTS = 500

class CachingShellAnalyzer implements ShellAnalyzer {
  private readonly options: Required<ShellAnalyzerOptions>
  private readonly cache: GenerationCache<ShellFacts>

  constructor(options: ShellAnalyzerOptions) {
    this.options = {
      dialect: options.dialect ?? 'any',
      maxTextLength: options.maxTextLength ?? 131_072,
      maxCommands: options.maxCommands ?? 2000,
      maxEntries: options.maxEntries ?? 100_000,
      maxDepth: options.maxDepth ?? 16,
      maxCachedTexts: options.maxCachedTexts ?? 10_000,
      maxCachedBytes: options.maxCachedBytes ?? 16 * 1024 * 1024,
    }
    const { maxCachedTexts, maxCachedBytes } = this.options
    this.cache = new GenerationCache({ maxEntries: maxCachedTexts, maxBytes: maxCachedBytes }, estimatedBytes)
  }

  analyze(text: string, { isInteractive = false }: ShellReading = {}): ShellFacts {
    // Not even kept: it would cost as much as it is long.
    if (text.length > this.options.maxTextLength) return deepFreeze(unparsed('the line is too long'))
    // No line of a shell that can be run begins with a NUL.
    const key = isInteractive ? `\0${text}` : text
    const known = this.cache.get(key)
    if (known !== undefined) return known
    const facts = deepFreeze(this.judge(text, isInteractive))
    if (isInteractive || !text.startsWith('\0')) this.cache.set(key, facts)
    return facts
  }

  private judge(text: string, isInteractive: boolean): ShellFacts {
    if (text.includes('\0')) return unparsed('the line contains a NUL character')
    // The parser looks through all that are open at each line.
    if (text.split('<<', MAX_HERE_DOCUMENTS + 1).length > MAX_HERE_DOCUMENTS)
      return unparsed('the line has too many here-documents')
    if (isMisread(text)) return unparsed('the line contains characters that cannot be read')
    // What follows a `!`, and a line that begins with `^`.
    if (isInteractive && /!(?=[^\s=(])|^\^/m.test(text)) return unparsed('the line refers to a history')
    const { maxCommands, maxEntries, maxDepth, maxTextLength, dialect } = this.options
    const collector = new Collector({ maxCommands, maxEntries })
    const context: Context = {
      scope: { places: START },
      wrappers: [],
      isRemote: false,
      isUncertain: false,
      isOpen: false,
      input: undefined,
      depth: 0,
    }
    const line = new Line(collector, { dialect, maxDepth, maxCharacters: 4 * maxTextLength }, context)
    try {
      line.text(text, context)
    } catch (error) {
      // Fails closed: also what is deeper or larger than a walk may go.
      collector.unparsed(error instanceof ShellProblem ? error.message : 'the line is too complex')
    }
    line.finish()
    if (isInteractive && (line.holdsCode || changesLaterLines(collector))) collector.hazards.add('redefinition')
    return collector.facts()
  }
}

/** Builtins that leave an interactive shell another one than it was. `cd` is not among them: paths of later lines are inexact. */
const REDEFINING: ReadonlySet<string> = new Set(
  'alias unalias bind bindkey compdef complete compopt disable emulate enable fc hash history mapfile readarray set setopt shopt source stty trap ulimit umask unset unsetopt zle zmodload zstyle . autoload'.split(
    ' ',
  ),
)

const DECLARING: ReadonlySet<string> = new Set(['export', 'declare', 'typeset', 'readonly', 'local', 'printf', 'read'])

function changesLaterLines(collector: Collector): boolean {
  return collector.changesLaterLines || collector.commands.some(redefines)
}

function redefines({ program, arguments: words }: ShellSimpleCommand): boolean {
  if (program === undefined) return false
  if (DECLARING.has(program)) return words.some((each) => variableEffect(each.replace(/\+?=.*$/s, '')) !== undefined)
  return REDEFINING.has(program)
}

function unparsed(problem: string): ShellFacts {
  return { certainty: 'unparsed', problem, commands: [], files: [], network: [], isPrivileged: false, hazards: [] }
}

/** Text, and objects and strings of about a hundred bytes each. */
function estimatedBytes(text: string, facts: ShellFacts): number {
  let entries = 10 + facts.files.length * 3 + facts.network.length * 2
  for (const command of facts.commands) {
    entries +=
      8 + command.arguments.length + command.operands.length + command.flags.length + command.assignments.length
  }
  return 4 * text.length + 100 * entries
}

/** Facts are shared by everybody who sends the same text. */
function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const part of Object.values(value)) deepFreeze(part)
  return value
}
