import type { FileAccessMode, NetworkTarget, ShellAssignment, ShellHazard } from '../../core/index.js'
import type { Collector } from './collector.js'
import type { Context } from './context.js'
import { pathHazards } from './path-hazards.js'
import { parseOptions, type WordRole } from './options.js'
import { climbs, MAX_PATH_LENGTH, mergePlaces, type ResolvedPath, resolvePath } from './paths.js'
import { ShellProblem } from './problem.js'
import type { Call, Input, ProgramSpec, Report, RunOptions } from './program.js'
import { PROGRAMS } from './programs/index.js'
import { variableEffect } from './variables.js'
import type { WordValue } from './word-value.js'

/** What a command writes to its standard output. */
export interface Output extends Input {}

export const NO_OUTPUT: Output = { fetches: false, reads: false }

export interface Redirect {
  /** As written; `<<` has the text itself as its target. */
  readonly operator: string
  readonly descriptor: number | undefined
  readonly target: WordValue
}

/** Reads texts that commands run, as the line itself is read. */
export interface TextWalker {
  text(text: string, context: Context): Output
  defineAlias(name: string, value: WordValue): void
  calculates(): void
}

const SHELLS = new Set(['sh', 'bash', 'dash', 'ash', 'ksh', 'mksh', 'zsh', 'csh', 'tcsh', 'fish', 'rbash', 'busybox'])
const SOCKET_TOOLS = new Set([
  'nc',
  'ncat',
  'netcat',
  'nc.traditional',
  'nc.openbsd',
  'telnet',
  'socat',
  'openssl',
  'pwncat',
])
/** Directories where a program's name says what it is. */
const PROGRAM_FOLDERS = /^\/(?:usr\/(?:local\/)?)?s?bin\/[^/]+$|^\/(?:opt\/homebrew|snap)\/bin\/[^/]+$/
const LOOSE_FOLDERS = /^(?:[^/]|\/(?:tmp|var\/tmp|dev|home|root|proc|run|mnt|media)\/)/
const QUIET_PATH = /^\/dev\/(?:null|zero|full|stdin|stdout|stderr|tty|random|urandom|fd\/\d+)$/

/** Says what single commands do: takes wrappers off, reads options, and looks up what is known about programs. */
export class Runner {
  readonly functions = new Set<string>()
  selfCalls = 0
  usesHome = false
  private changesHome = false
  private readonly collector: Collector
  private readonly walker: TextWalker
  private readonly fetched = new Set<string>()
  private readonly executed = new Set<string>()
  private hasSocket = false
  private hasSocketTool = false
  private hasFedShell = false
  private hasUnknownProgram = false
  private reads = 0

  constructor(collector: Collector, walker: TextWalker) {
    this.collector = collector
    this.walker = walker
  }

  command(
    words: readonly WordValue[],
    assignments: readonly ShellAssignment[],
    redirects: readonly Redirect[],
    context: Context,
  ): Output {
    const input = this.redirect(redirects, context) ?? context.input
    const reads = this.reads
    const fetches = this.collector.fetches
    const text = this.run(words, assignments, { ...context, input })
    const isSent = redirects.some(
      ({ operator, target }) => !operator.startsWith('<') && /^\/dev\/(?:tcp|udp)/.test(target.shape),
    )
    if (isSent && this.reads > reads) this.collector.hazards.add('exfiltration')
    return {
      ...(text === undefined ? {} : { text }),
      fetches: this.collector.fetches > fetches || (input?.fetches ?? false),
      // `< file cat`: what is read in passes on.
      reads: this.reads > reads || (input?.reads ?? false),
    }
  }

  /** What redirections do to files. Gives what is read from instead of the input so far. */
  redirect(redirects: readonly Redirect[], context: Context): Input | undefined {
    let input: Input | undefined
    for (const { operator, descriptor, target } of redirects) {
      if (operator === '<<' || operator === '<<<') {
        const text = target.isKnown ? target.text + (operator === '<<<' ? '\n' : '') : undefined
        if ((descriptor ?? 0) === 0)
          input = { ...(text === undefined ? {} : { text }), fetches: target.fetches, reads: false }
        continue
      }
      if (operator === '>&' || operator === '<&') {
        if (target.isKnown && /^(?:\d+-?|-)$/.test(target.text)) {
          // From a descriptor that the line has bound to something.
          if (operator === '<&' && (descriptor ?? 0) === 0 && target.text !== '-')
            input = { fetches: this.hasSocket, reads: true }
          else if (descriptor === 0 && this.hasSocket) input = { fetches: true, reads: false }
          continue
        }
        if (!target.isKnown) this.collector.conservative()
      }
      const isInput = operator.startsWith('<')
      const socket = /^\/dev\/(tcp|udp)\/([^/]*)\/(.*)$/s.exec(target.text)
      if (socket !== null || /^\/dev\/(?:tcp|udp)/.test(target.shape)) {
        this.socket(socket?.[2], socket?.[3], target)
        if (isInput && (descriptor ?? 0) === 0) input = { fetches: true, reads: false }
        else if (!isInput && (context.input?.reads === true || this.reads > 0))
          this.collector.hazards.add('exfiltration')
        continue
      }
      if (!target.isKnown) this.collector.conservative()
      const modes: readonly FileAccessMode[] =
        operator === '<' ? ['read'] : operator === '<>' ? ['read', 'write', 'create'] : ['write', 'create']
      this.file(target, modes, false, context, operator.includes('>>'))
      // Only this one is known to be empty: /dev/stdin is what the input was, /dev/tty whoever types.
      if (isInput && (descriptor ?? 0) === 0)
        input =
          target.text === '/dev/null'
            ? { text: '', fetches: false, reads: false }
            : { fetches: target.fetches || (context.input?.fetches ?? false), reads: true }
    }
    return input
  }

  assign(name: string, value: WordValue | undefined, context: Context): void {
    if (name === 'HOME') this.changesHome = true
    switch (variableEffect(name)) {
      case 'unseen':
        this.collector.hazards.add('unseen-code')
        this.collector.conservative()
        return
      case 'command':
        if (value?.isKnown !== true) {
          this.collector.hazards.add('unseen-code')
          this.collector.conservative()
        } else if (value.text !== '') {
          this.walker.text(value.text, {
            ...context,
            wrappers: [...context.wrappers, name],
            isUncertain: true,
            depth: context.depth + 1,
          })
        }
        return
      case 'history':
        this.collector.hazards.add('log-tampering')
        return
      default:
    }
  }

  /** What only the whole line shows. */
  finish(): void {
    const { hazards } = this.collector
    if (this.usesHome && this.changesHome) this.collector.conservative()
    if ([...this.executed].some((path) => this.fetched.has(path))) hazards.add('download-and-run')
    if (this.hasSocket && (this.hasFedShell || this.hasUnknownProgram)) hazards.add('reverse-shell')
    if (this.hasSocketTool && this.hasFedShell) hazards.add('reverse-shell')
  }

  /** Judges one command, and gives what it writes where the line itself tells. */
  private run(
    words: readonly WordValue[],
    assignments: readonly ShellAssignment[],
    context: Context,
    isPrivileged = false,
  ): string | undefined {
    this.collector.count(1 + words.length)
    if (isPrivileged) this.collector.isPrivileged = true
    const [first, ...rest] = words
    if (first === undefined) return undefined
    if (!first.isKnown || first.text === '') return this.unknownProgram(first, rest, assignments, context)
    const word = first.text
    const name = word.slice(word.lastIndexOf('/') + 1)
    if (word.includes('/')) this.programFile(first, context)
    const isOther = isOutsideProgramFolders(word) && (PROGRAMS.has(name) || LOOSE_FOLDERS.test(word))
    const spec = PROGRAMS.get(name)
    const parsed = spec === undefined ? undefined : parseOptions(rest, spec.options, spec.style)
    const call = makeCall(name, rest, parsed, context)
    const { commands } = this.collector
    const at = commands.length
    const reporter = new Reporter(this, this.collector, context, assignments)
    if (SOCKET_TOOLS.has(name)) this.hasSocketTool = true
    if (SHELLS.has(name) && (context.input !== undefined || this.hasSocket)) this.hasFedShell = true
    if (spec === undefined) this.unknownTool(rest, reporter)
    else if (parsed !== undefined) {
      this.options(spec, call, reporter)
      spec.inspect?.(call, reporter)
      if (parsed.hasUnknown && spec.operands !== undefined) reporter.conservative()
      // An option that takes a word would have taken the program.
      if (parsed.hasUnknown && reporter.isWrapper && spec.style === 'posix')
        reporter.unknown(`an option of ${name} that is not known`)
    }
    if (reporter.isWrapper && !reporter.keepsCaller) return undefined
    const isExact =
      rest.every((argument) => argument.isKnown) &&
      !context.isUncertain &&
      !context.isOpen &&
      !isOther &&
      !this.functions.has(word)
    const nested = commands.splice(at)
    const { flags, operands } = reporter.described ?? {
      flags: parsed?.flags ?? writtenFlags(rest),
      operands: parsed?.operands ?? [],
    }
    this.collector.command({
      program: name,
      word,
      arguments: rest.map((argument) => argument.text),
      flags: [...flags].sort(),
      operands: operands.map((operand) => operand.text),
      assignments,
      wrappers: context.wrappers,
      isRemote: context.isRemote,
      certainty: isExact && !reporter.isConservative ? 'exact' : 'conservative',
    })
    for (const command of nested) commands.push(command)
    return outputText(call)
  }

  private unknownProgram(
    first: WordValue,
    rest: readonly WordValue[],
    assignments: readonly ShellAssignment[],
    context: Context,
  ): undefined {
    this.hasUnknownProgram = true
    if (first.fetches) this.collector.hazards.add('download-and-run')
    // A line that runs itself.
    if (first.text === '$0' || first.text === './$0') this.collector.hazards.add('fork-bomb')
    this.collector.hazards.add('unseen-code')
    this.unknownCommand(first, rest, assignments, context)
    this.collector.unparsed('which program runs is known only when it does')
    return undefined
  }

  private unknownCommand(
    word: WordValue,
    rest: readonly WordValue[],
    assignments: readonly ShellAssignment[],
    { wrappers, isRemote }: Pick<Context, 'wrappers' | 'isRemote'>,
  ): void {
    this.collector.command({
      program: undefined,
      word: word.text,
      arguments: rest.map((argument) => argument.text),
      flags: [],
      operands: [],
      assignments,
      wrappers,
      isRemote,
      certainty: 'unparsed',
    })
  }

  /** A program given by its path is a file that is run. */
  private programFile(word: WordValue, context: Context): void {
    if (PROGRAM_FOLDERS.test(word.text)) return
    this.file(word, ['execute'], false, context)
    this.executes(word)
    if (LOOSE_FOLDERS.test(word.text) || /\.(?:sh|bash|py|pl|rb|js|mjs|php|lua)$/.test(word.text)) {
      this.collector.hazards.add('unseen-code')
    }
  }

  executes(word: WordValue): void {
    if (word.fetches) this.collector.hazards.add('download-and-run')
    if (word.isKnown) this.executed.add(word.text.slice(word.text.lastIndexOf('/') + 1))
  }

  downloads(word: WordValue): void {
    if (word.isKnown) this.fetched.add(word.text.slice(word.text.lastIndexOf('/') + 1))
  }

  /** Nothing is known about it: what looks like a path may be read, written or removed. */
  private unknownTool(words: readonly WordValue[], reporter: Reporter): void {
    for (const word of words) {
      const equals = word.text.startsWith('-') ? word.text.indexOf('=') : -1
      const value =
        equals < 0
          ? word
          : { ...word, text: word.text.slice(equals + 1), shape: word.shape.slice(word.shape.indexOf('=') + 1) }
      if (/^(?:~|\.{0,2}\/)|^[^-\s][^\s:]*\//.test(value.text) && !/^[a-z][a-z0-9+.-]*:\/\//.test(value.text)) {
        reporter.file(value, ['read', 'write', 'delete'])
      }
    }
  }

  private options(spec: ProgramSpec, call: Call, reporter: Reporter): void {
    if (spec.hazards.length > 0) reporter.hazard(...spec.hazards)
    const isRecursive = spec.isAlwaysRecursive || spec.recursive.some((name) => call.has(name))
    for (const { spec: option, word } of call.values) this.role(option.role, word, false, reporter, option.name)
    if (spec.operands === undefined) return
    for (const operand of call.operands) this.role(spec.operands, operand, isRecursive, reporter, '')
  }

  private role(
    role: WordRole | undefined,
    word: WordValue,
    isRecursive: boolean,
    reporter: Reporter,
    name: string,
  ): void {
    if (role === undefined || word.text === '-') return
    if (role === 'script') return reporter.script(word, name, { keepsCaller: true })
    if (role === 'command') return reporter.run([word], name, { keepsCaller: true, isOpen: true })
    if (role === 'execute') this.executes(word)
    const modes: readonly FileAccessMode[] =
      role === 'write' ? ['write', 'create'] : role === 'execute' ? ['read', 'execute'] : [role]
    reporter.file(word, modes, isRecursive)
  }

  file(
    word: WordValue,
    modes: readonly FileAccessMode[],
    isRecursive: boolean,
    context: Context,
    isAppended = false,
    isMoved = false,
  ): void {
    const { hazards } = this.collector
    if (modes.includes('read')) this.reads++
    const paths = resolvePath(word, context.scope.places)
    if (paths.length > 1 || climbs(word.text)) this.collector.conservative()
    for (const path of paths) {
      if (QUIET_PATH.test(path.path) || path.shape.startsWith('/dev/fd/')) continue
      const isExact = path.isExact && !context.isOpen
      this.collector.file(path.path, modes, isRecursive, isExact)
      for (const hazard of pathHazards(path, modes, { isRecursive, isAppended, isMoved, mayVary: word.mayVary }))
        hazards.add(hazard)
    }
  }

  private socket(host: string | undefined, port: string | undefined, target: WordValue): void {
    const number = Number(port)
    this.hasSocket = true
    this.collector.target({
      host: target.isKnown ? host : undefined,
      ...(Number.isInteger(number) && number > 0 ? { port: number } : {}),
      direction: 'connect',
    })
  }

  shellOnSocket(): void {
    this.hasFedShell = true
  }

  /** For wrappers: the command inside. */
  inner(
    words: readonly WordValue[],
    wrapper: string,
    options: RunOptions,
    context: Context,
    assignments: readonly ShellAssignment[],
  ): void {
    if (context.depth > 64) throw new ShellProblem('commands are nested too deeply')
    this.run(words, assignments, innerContext(context, wrapper, options), options.isPrivileged === true)
  }

  innerText(word: WordValue, wrapper: string, options: RunOptions, context: Context): void {
    if (options.isPrivileged === true) this.collector.isPrivileged = true
    if (word.fetches) this.collector.hazards.add('download-and-run')
    if (!word.isKnown) {
      this.hasUnknownProgram = true
      this.collector.hazards.add('unseen-code')
      this.collector.unparsed('the text that a shell runs is known only when it does')
      const { wrappers, isRemote } = innerContext(context, wrapper, options)
      this.unknownCommand(word, [], [], { wrappers, isRemote })
      return
    }
    this.walker.text(word.text, innerContext(context, wrapper, options))
  }

  places(context: Context, target: WordValue | undefined): void {
    const { scope } = context
    if (target === undefined) scope.places = ['~']
    else if (!target.isKnown || target.text === '-') scope.places = [undefined]
    else
      scope.places = resolvePath(target, scope.places).reduce(
        (all, { path, isExact }) => mergePlaces(all, [isExact && path.length <= MAX_PATH_LENGTH ? path : undefined]),
        [] as typeof scope.places,
      )
  }

  calculates(): void {
    this.walker.calculates()
  }

  alias(name: string, value: WordValue): void {
    this.walker.defineAlias(name, value)
  }
}

/** What one call says about itself, on its way to the collector. */
class Reporter implements Report {
  isWrapper = false
  keepsCaller = false
  isConservative = false
  described: { readonly flags: readonly string[]; readonly operands: readonly WordValue[] } | undefined
  private readonly runner: Runner
  private readonly collector: Collector
  private readonly context: Context
  private readonly assignments: ShellAssignment[]

  constructor(runner: Runner, collector: Collector, context: Context, assignments: readonly ShellAssignment[]) {
    this.runner = runner
    this.collector = collector
    this.context = context
    this.assignments = [...assignments]
  }

  file(word: WordValue, modes: readonly FileAccessMode[], isRecursive = false, isMoved = false): void {
    this.runner.file(word, modes, isRecursive, this.context, false, isMoved)
  }

  network(target: NetworkTarget): void {
    this.collector.target(target)
  }

  hazard(...hazards: readonly ShellHazard[]): void {
    for (const hazard of hazards) this.collector.hazards.add(hazard)
  }

  privileged(): void {
    this.collector.isPrivileged = true
  }

  conservative(): void {
    this.isConservative = true
    this.collector.conservative()
  }

  unknown(problem: string): void {
    this.isConservative = true
    this.collector.hazards.add('unseen-code')
    this.collector.unparsed(problem)
  }

  run(words: readonly WordValue[], wrapper: string, options: RunOptions = {}): void {
    this.wraps(options)
    this.runner.inner(words, wrapper, options, this.context, this.assignments)
  }

  script(word: WordValue, wrapper: string, options: RunOptions = {}): void {
    this.wraps(options)
    this.runner.innerText(word, wrapper, options, this.context)
  }

  describe(flags: Iterable<string>, operands: readonly WordValue[]): void {
    this.described = { flags: [...new Set(flags)], operands }
  }

  resolve(word: WordValue): readonly ResolvedPath[] {
    return resolvePath(word, this.context.scope.places)
  }

  assign(name: string, value: WordValue | undefined): void {
    this.runner.assign(name, value, this.context)
    this.assignments.push({ name, value: value?.isKnown === true ? value.text : undefined })
  }

  fetches(): void {
    this.collector.fetches++
  }

  downloads(word: WordValue): void {
    this.runner.downloads(word)
  }

  executes(word: WordValue): void {
    this.runner.executes(word)
  }

  shellOnSocket(): void {
    this.runner.shellOnSocket()
  }

  changeDirectory(word: WordValue | undefined): void {
    this.runner.places(this.context, word)
  }

  calculates(): void {
    this.runner.calculates()
  }

  alias(name: string, value: WordValue): void {
    this.runner.alias(name, value)
  }

  private wraps({ keepsCaller }: RunOptions): void {
    this.isWrapper = true
    if (keepsCaller === true) this.keepsCaller = true
  }
}

function innerContext(context: Context, wrapper: string, options: RunOptions): Context {
  const isElsewhere = options.isElsewhere === true || options.isRemote === true
  const places =
    options.directory !== undefined
      ? resolvePath(options.directory, context.scope.places).map(({ path, isExact }) => (isExact ? path : undefined))
      : isElsewhere
        ? ['']
        : context.scope.places
  return {
    ...context,
    scope: { places },
    wrappers: [...context.wrappers, wrapper],
    isRemote: context.isRemote || options.isRemote === true,
    isOpen: options.isOpen === true,
    isUncertain: context.isUncertain,
    depth: context.depth + 1,
  }
}

function isOutsideProgramFolders(word: string): boolean {
  return word.includes('/') && !PROGRAM_FOLDERS.test(word)
}

function makeCall(
  program: string,
  words: readonly WordValue[],
  parsed: ReturnType<typeof parseOptions> | undefined,
  context: Context,
): Call {
  const { flags, values, operands } = parsed ?? { flags: new Set<string>(), values: [], operands: [] }
  return {
    program,
    words,
    operands,
    values,
    input: context.input,
    isRemote: context.isRemote,
    has: (...names) => names.some((name) => flags.has(name)),
    value: (name) => values.findLast(({ spec }) => spec.name === name)?.word,
  }
}

function writtenFlags(words: readonly WordValue[]): readonly string[] {
  const flags = new Set<string>()
  for (const { text } of words) {
    if (text === '--') break
    if (/^-./.test(text)) flags.add(text.startsWith('--') ? text.replace(/=.*$/s, '') : text)
  }
  return [...flags].sort()
}

/** Some programs say what they are told. */
function outputText({ program, words, operands, input }: Call): string | undefined {
  const texts = words.map(({ text }) => text)
  if (!words.every(({ isKnown }) => isKnown)) return undefined
  if (program === 'echo') {
    const said = (texts[0] === '-n' ? texts.slice(1) : texts).join(' ')
    return said.includes('\\') || texts[0]?.startsWith('-e') ? undefined : `${said}\n`
  }
  if (program === 'printf') {
    const [format = '', ...values] = texts
    if (/^%s(?:\\n)?$/.test(format)) return values.map((value) => `${value}\n`).join('')
    const plain = format.replace(/\\n/g, '\n')
    return values.length > 0 || /[%\\]/.test(plain) ? undefined : plain
  }
  if ((program === 'cat' || program === 'tee') && (operands.length === 0 || program === 'tee')) return input?.text
  return undefined
}
