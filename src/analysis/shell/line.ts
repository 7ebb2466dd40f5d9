import {
  type AndOr,
  type ArithmeticExpression,
  type Assignment,
  type Case,
  type Command,
  type CommandNode,
  type CompoundList,
  type HereDoc,
  type ParsedScript,
  type Pipeline,
  type PipelineNode,
  parse,
  type Redirection,
  type Script,
  type Statement,
  type TestExpression,
  type Word,
} from 'unbash'
import type { ShellAssignment } from '../../core/index.js'
import type { Collector } from './collector.js'
import { type Context, subshell } from './context.js'
import {
  type ExpansionHost,
  evaluateParts,
  evaluateText,
  evaluateWord,
  expandWord,
  walkSubstitutions,
} from './expander.js'
import { mergePlaces } from './paths.js'
import { hasSubstitution, refuseQuote, ShellProblem } from './problem.js'
import { NO_OUTPUT, type Output, type Redirect, Runner } from './runner.js'
import { variableEffect } from './variables.js'
import { knownWord, type WordValue } from './word-value.js'

export interface LineOptions {
  readonly dialect: 'bash' | 'any'
  /** Characters that may be read in all: texts in texts are read again. */
  readonly maxCharacters: number
  readonly maxDepth: number
}

/** One line being walked: finds every simple command in it and hands it, with its words known as far as they can be, to the runner. */
export class Line implements ExpansionHost {
  private readonly collector: Collector
  private readonly options: LineOptions
  private readonly runner: Runner
  private characters = 0
  private context: Context
  private readonly functions: string[] = []
  /** Something in the command at hand is read differently by shells. */
  private hasDifference = false
  /** A function calls itself beside itself. */
  private hasFork = false
  private hasBackground = false
  private readonly aliases = new Map<string, string | undefined>()

  constructor(collector: Collector, options: LineOptions, context: Context) {
    this.collector = collector
    this.options = options
    this.context = context
    this.runner = new Runner(collector, this)
  }

  private isCalculating = false
  /** A value is set, or read, that arithmetic would run. */
  holdsCode = false

  calculates(): void {
    this.isCalculating = true
    this.refuseCode()
  }

  hasCode(): void {
    this.holdsCode = true
    this.refuseCode()
  }

  private refuseCode(): void {
    if (this.isCalculating && this.holdsCode) this.collector.unparsed('a value that arithmetic would run')
  }

  /** Walks a text as a script of its own. */
  text(text: string, context: Context): Output {
    if (context.depth > this.options.maxDepth) throw new ShellProblem('texts are nested too deeply')
    this.spend(text.length)
    const script = parse(text)
    return this.script(script, context)
  }

  finish(): void {
    this.runner.finish()
  }

  spend(characters: number): void {
    this.characters += characters
    if (this.characters > this.options.maxCharacters) throw new ShellProblem('the line is too complex')
  }

  differ(): void {
    if (this.options.dialect === 'bash') return
    this.hasDifference = true
    this.collector.conservative()
  }

  unseen(): void {
    this.collector.hazards.add('unseen-code')
    this.collector.conservative()
  }

  tilde(): void {
    this.runner.usesHome = true
  }

  sets(name: string): void {
    if (variableEffect(name) !== undefined) this.collector.changesLaterLines = true
    this.runner.assign(name, undefined, this.context)
  }

  substitution(script: ParsedScript | undefined): { readonly fetches: boolean } {
    if (script === undefined) throw new ShellProblem('a substitution that cannot be read')
    const before = this.collector.fetches
    const outer = this.context
    const hadDifference = this.hasDifference
    this.script(script, { ...subshell(outer), input: undefined })
    this.context = outer
    this.hasDifference = hadDifference
    return { fetches: this.collector.fetches > before }
  }

  defineAlias(name: string, value: WordValue): void {
    this.aliases.set(name, value.isKnown ? value.text : undefined)
  }

  private script(script: Script & { readonly errors?: ParsedScript['errors'] }, context: Context): Output {
    if (script.errors !== undefined && script.errors.length > 0) {
      const [first] = script.errors
      throw new ShellProblem(
        `the line cannot be read: ${first?.message.replace(/[`'"].*$/s, '').trim() || 'syntax error'}`,
      )
    }
    return this.statements(script.commands, context)
  }

  private statements(statements: readonly Statement[], context: Context): Output {
    let output = NO_OUTPUT
    for (const { command, background } of statements) {
      const before = context.scope.places
      const inner = background === true ? subshell(context) : context
      const calls = this.runner.selfCalls
      output = joined(output, command.type === 'AndOr' ? this.andOr(command, inner) : this.pipelineNode(command, inner))
      // Whatever it has failed to do, the next one runs.
      if (statements.length > 1) context.scope.places = mergePlaces(before, context.scope.places)
      if (background === true && this.runner.selfCalls > calls) this.hasFork = true
      if (background === true) this.hasBackground = true
    }
    return statements.length === 1 ? output : { ...output, text: undefined }
  }

  private list(list: CompoundList, context: Context): Output {
    return this.statements(list.commands, context)
  }

  private andOr(node: AndOr, context: Context): Output {
    let output = NO_OUTPUT
    const before = context.scope.places
    node.commands.forEach((command, index) => {
      const operator = node.operators[index - 1]
      // What comes behind `||` runs where the one before has failed, and then it has not changed the directory.
      if (operator === '||') context.scope.places = mergePlaces(before, context.scope.places)
      output = joined(output, this.pipelineNode(command, context))
    })
    if (node.operators.length > 0 && context.scope.places !== before && node.operators.includes('||')) {
      context.scope.places = mergePlaces(before, context.scope.places)
    }
    return { ...output, text: undefined }
  }

  private pipelineNode(node: PipelineNode, context: Context): Output {
    return node.type === 'Pipeline' ? this.pipeline(node, context) : this.node(node, context)
  }

  private pipeline(node: Pipeline, context: Context): Output {
    if (node.operators.includes('|&')) this.differ()
    const isTimed = node.prefixes.some((prefix) => prefix.type === 'Time')
    const outer = isTimed ? { ...context, wrappers: [...context.wrappers, 'time'] } : context
    const only = node.commands[0]
    if (node.commands.length === 1 && only !== undefined) return this.node(only, outer)
    let input = context.input
    let output = NO_OUTPUT
    const calls = this.runner.selfCalls
    for (const command of node.commands) {
      output = this.node(command, { ...subshell(outer), input })
      input = output
    }
    if (this.runner.selfCalls > calls) this.hasFork = true
    return output
  }

  private node(node: CommandNode, context: Context): Output {
    // Unwrapped on every way out: substitutions look at the context of the command they are in.
    const outer = this.context
    this.context = context
    try {
      return this.compound(node, context)
    } finally {
      this.context = outer
    }
  }

  private compound(node: CommandNode, context: Context): Output {
    switch (node.type) {
      case 'Command':
        return this.command(node, context)
      case 'Redirected': {
        const redirects = this.redirects(node.redirects)
        const input = this.runner.redirect(redirects, context)
        return this.node(node.command, { ...context, input: input ?? context.input })
      }
      case 'Subshell':
        return this.list(node.body, subshell(context))
      case 'BraceGroup':
        return this.list(node.body, context)
      case 'If':
        return this.branches(context, [
          [node.clause, node.then],
          ...node.elif.map(({ clause, then }) => [clause, then]),
          ...(node.else === undefined ? [] : [[node.else]]),
        ])
      case 'While': {
        const hadBackground = this.hasBackground
        this.hasBackground = false
        const output = this.branches(context, [[node.clause, node.body]])
        if (this.hasBackground && isEndless(node.clause)) this.collector.hazards.add('fork-bomb')
        this.hasBackground ||= hadBackground
        return output
      }
      case 'For':
      case 'Select':
        if (node.type === 'Select') this.differ()
        this.sets(node.name.value)
        for (const word of node.wordlist ?? []) expandWord(word, this)
        return this.branches(context, [[node.body]])
      case 'ArithmeticFor':
        this.differ()
        for (const part of [node.initialize, node.test, node.update]) {
          if (part !== undefined) refuseQuote(JSON.stringify(part))
          this.arithmetic(part)
        }
        return this.branches(context, [[node.body]])
      case 'Case':
        return this.cases(node, context)
      case 'ArithmeticCommand':
        refuseQuote(node.body)
        this.arithmetic(node.expression)
        this.otherReading(node.body, context)
        return NO_OUTPUT
      case 'TestCommand':
        this.differ()
        this.test(node.expression, context)
        return NO_OUTPUT
      case 'Function':
        this.collector.changesLaterLines = true
        return this.define(node.name.value, node.body, context)
      case 'Coproc':
        this.differ()
        if (node.body.type === 'CompoundList') throw new ShellProblem('the line cannot be read')
        return this.node(node.body, { ...subshell(context), wrappers: [...context.wrappers, 'coproc'] })
      default:
        throw new ShellProblem('a construct that is not known')
    }
  }

  /** Lists of which any number may run. */
  private branches(context: Context, branches: readonly (readonly CompoundList[])[]): Output {
    const before = context.scope.places
    let after = before
    let output = NO_OUTPUT
    for (const lists of branches) {
      context.scope.places = mergePlaces(before, context.scope.places)
      for (const list of lists) output = joined(output, this.list(list, context))
      after = mergePlaces(after, context.scope.places)
    }
    context.scope.places = after
    return { ...output, text: undefined }
  }

  private cases(node: Case, context: Context): Output {
    expandWord(node.word, this)
    for (const { pattern } of node.items) for (const word of pattern) walkSubstitutions(word, this)
    return this.branches(
      context,
      node.items.map(({ body }) => [body]),
    )
  }

  private define(name: string, body: CommandNode | CompoundList, context: Context): Output {
    if (body.type === 'CompoundList') throw new ShellProblem('the line cannot be read')
    this.functions.push(name)
    this.runner.functions.add(name)
    const inner = { ...context, isUncertain: true, scope: { places: [undefined] }, input: undefined }
    const hadFork = this.hasFork
    this.hasFork = false
    this.node(body, inner)
    if (this.hasFork) this.collector.hazards.add('fork-bomb')
    this.hasFork = hadFork
    this.functions.pop()
    return NO_OUTPUT
  }

  private command(node: Command, context: Context): Output {
    this.spend(1)
    const at = this.collector.commands.length
    this.hasDifference = false
    const assignments: ShellAssignment[] = []
    for (const part of node.prefix) if (part.type === 'Assignment') assignments.push(...this.assignment(part))
    const words: WordValue[] = []
    if (node.name !== undefined) words.push(...expandWord(node.name, this))
    for (const part of node.suffix) {
      if (part.type === 'Word') words.push(...expandWord(part, this))
      else if (part.type === 'Assignment') words.push(this.assignmentWord(part))
    }
    // Without a command they outlast the line.
    if (words.length === 0 && assignments.some(({ name }) => variableEffect(name) !== undefined))
      this.collector.changesLaterLines = true
    const redirections = [...node.prefix, ...node.suffix].filter(isRedirection)
    const redirects = this.redirects(redirections)
    words.push(...this.longDescriptors(redirections, words.length))
    const name = node.name?.text ?? ''
    if (this.functions.includes(name)) this.runner.selfCalls++
    // In the order of the text: what is inside of the words comes behind the command itself.
    const inner = this.collector.commands.splice(at)
    const isUncertain = context.isUncertain || this.hasDifference
    const output = this.runner.command(words, assignments, redirects, { ...context, isUncertain })
    if (this.aliases.has(name)) this.aliased(this.aliases.get(name), node, context)
    if (inner.length < 64) this.collector.commands.push(...inner)
    else for (const command of inner) this.collector.commands.push(command)
    return output
  }

  /** Descriptors of several digits, which some shells take for words of the command. */
  private longDescriptors(nodes: readonly Redirection[], words: number): readonly WordValue[] {
    if (this.options.dialect === 'bash') return []
    const found = nodes.flatMap(({ descriptor }) =>
      descriptor?.type === 'FileDescriptor' && descriptor.value > 9 ? [knownWord(String(descriptor.value))] : [],
    )
    if (found.length === 0) return []
    this.differ()
    // Behind no program it would be the program itself.
    return words === 0 ? [] : found
  }

  /** Where aliases are expanded, the command is another one. */
  private aliased(value: string | undefined, node: Command, context: Context): void {
    if (value === undefined) return this.collector.unparsed('an alias that is not known')
    const rest = node.suffix.filter((part) => part.type === 'Word').map((word) => word.text)
    const aliases = [...this.aliases]
    this.aliases.clear()
    this.text([value, ...rest].join(' '), { ...context, isUncertain: true, depth: context.depth + 1 })
    for (const [name, kept] of aliases) this.aliases.set(name, kept)
  }

  private assignment({ name, value, index, append }: Assignment): ShellAssignment[] {
    this.subscript(name, index)
    if (index !== undefined || append === true || value.type === 'ArrayValue') this.differ()
    if (value.type === 'ArrayValue') {
      this.elements(value.elements)
      this.runner.assign(name, undefined, this.context)
      return [{ name, value: undefined }]
    }
    const word = value.text === '' ? knownWord('') : evaluateWord(value, this)
    // It runs wherever the variable is used in arithmetic, at once where a line before has made it a number.
    if (hasSubstitution(word.shape)) this.unseen()
    if (hasSubstitution(word.shape) && word.shape.includes('[')) {
      this.collector.unparsed('a value that arithmetic would run')
    }
    this.runner.assign(name, append === true ? undefined : word, this.context)
    return [{ name, value: word.isKnown && append !== true ? word.text : undefined }]
  }

  /** `name=value` behind a program: `export a=b`, but also `dd if=x`. */
  private assignmentWord(node: Assignment): WordValue {
    const { value, text, index } = node
    this.subscript(node.name, index)
    if (value.type === 'ArrayValue') {
      this.differ()
      this.elements(value.elements)
      return evaluateText(text, undefined, this)
    }
    if (index !== undefined || node.append === true) return { ...evaluateText(text, undefined, this), text }
    return evaluateText(text, value, this)
  }

  private subscript(name: string, index: Word | undefined): void {
    if (index === undefined) return
    refuseQuote(index.text)
    this.calculates()
    walkSubstitutions(index, this)
    // Where bash and zsh keep what names stand for.
    if (/^(?:BASH_(?:ALIASES|CMDS)|[dgs]?aliases|galiases|functions|commands|dis_\w+)$/.test(name)) this.unseen()
  }

  private elements(words: readonly Word[]): void {
    for (const word of words) {
      if (word.text.startsWith('[')) {
        refuseQuote(word.text)
        this.calculates()
      }
      expandWord(word, this)
    }
  }

  private redirects(nodes: readonly Redirection[]): readonly Redirect[] {
    return nodes.map((node): Redirect => {
      if (node.descriptor?.type === 'FileDescriptorVariable') this.differ()
      const descriptor = node.descriptor?.type === 'FileDescriptor' ? node.descriptor.value : undefined
      if (node.type === 'HereDoc') return { operator: '<<', descriptor, target: this.hereDocument(node) }
      if (node.target === undefined) throw new ShellProblem('a redirection without a target')
      // Bash ends the target behind the dash, and takes the rest for a word of the command.
      if (node.operator.endsWith('&') && /^-./s.test(node.target.text))
        throw new ShellProblem('a redirection that shells read differently')
      const words = expandWord(node.target, this)
      const [target] = words
      if (target === undefined || words.length > 1) throw new ShellProblem('a redirection to several words')
      if (node.operator === '&>' || node.operator === '&>>' || node.operator === '<<<') this.differ()
      return { operator: node.operator, descriptor, target }
    })
  }

  private hereDocument({ operator, delimiter, body, closing }: HereDoc): WordValue {
    if (delimiter === undefined || closing === undefined) throw new ShellProblem('a here-document that does not end')
    const strip = (text: string): string => (operator === '<<-' ? text.replace(/^\t+/gm, '') : text)
    if (delimiter.quoted) {
      if (hasSubstitution(body.text)) this.hasCode()
      return knownWord(strip(body.text))
    }
    if (body.parts !== undefined) {
      // Shells take this quote as it is, and expand what is behind it; the parser takes it for a quote.
      if (
        body.parts.some(
          (part) => part.type !== 'Literal' && part.type !== 'CommandExpansion' && part.text.includes("'"),
        )
      )
        throw new ShellProblem('a quote in an expansion of a here-document')
      const value = evaluateParts(body.parts, this)
      if (hasSubstitution(value.shape)) this.hasCode()
      return { ...value, text: strip(value.text), shape: strip(value.shape) }
    }
    return knownWord(strip(body.text.replace(/\\([$`\\])|\\\n/g, '$1')))
  }

  private arithmetic(expression: ArithmeticExpression | undefined): void {
    this.differ()
    this.calculates()
    if (expression !== undefined)
      walkSubstitutions({ type: 'ArithmeticCommand', pos: 0, end: 0, expression, body: '' }, this)
  }

  private test(expression: TestExpression, context: Context): void {
    switch (expression.type) {
      case 'TestLogical':
        expression.operands.forEach((operand, index) => {
          this.test(operand, context)
          if (index > 0) this.otherCommand(firstWord(operand), context)
        })
        return
      case 'TestNot':
        return this.test(expression.operand, context)
      case 'TestGroup':
        this.otherCommand(firstWord(expression.expression), context)
        return this.test(expression.expression, context)
      case 'TestUnary':
        if (expression.operator === '-v' || expression.operator === '-R') this.calculates()
        this.operand(expression.operand)
        return
      default: {
        if (/^-[a-z]{2}$/.test(expression.operator)) this.calculates()
        this.operand(expression.left)
        const right = this.operand(expression.right)
        // Elsewhere it is a redirection.
        if (/^[<>]/.test(expression.operator) && this.options.dialect === 'any') {
          this.runner.redirect(
            [{ operator: expression.operator === '<' ? '<' : '>', descriptor: undefined, target: right }],
            context,
          )
        }
      }
    }
  }

  private operand(word: Word): WordValue {
    const value = evaluateWord(word, this)
    if (hasSubstitution(value.shape)) this.hasCode()
    return value
  }

  /** What a shell without `[[` would run behind a `&&` or `||` in it. */
  private otherCommand(word: Word | undefined, context: Context): void {
    if (this.options.dialect === 'bash' || word === undefined || /^[-$"'(!]/.test(word.text)) return
    this.runner.command([evaluateWord(word, this)], [], [], { ...context, isUncertain: true })
  }

  /** `((...))` is a subshell in a subshell where it is no arithmetic. */
  private otherReading(body: string, context: Context): void {
    if (this.options.dialect === 'bash') return
    this.spend(body.length)
    const script = parse(body)
    if (script.errors !== undefined && script.errors.length > 0) return
    this.script(script, { ...subshell(context), isUncertain: true, depth: context.depth + 1 })
  }
}

function isRedirection(part: Command['prefix'][number] | Command['suffix'][number]): part is Redirection {
  return part.type === 'Redirect' || part.type === 'HereString' || part.type === 'HereDoc'
}

function firstWord(expression: TestExpression): Word | undefined {
  switch (expression.type) {
    case 'TestBinary':
      return expression.left
    case 'TestLogical':
      return expression.operands[0] && firstWord(expression.operands[0])
    case 'TestUnary':
      // A word alone is tested for being there.
      return expression.operand.pos === expression.pos ? expression.operand : undefined
    case 'TestNot':
      return undefined
    default:
      return firstWord(expression.expression)
  }
}

/** `while true`, `while :`, `until false`. */
function isEndless({ commands }: CompoundList): boolean {
  const command = commands.length === 1 ? commands[0]?.command : undefined
  return command?.type === 'Command' && /^(?:true|false|:)$/.test(command.name?.text ?? '')
}

function joined(a: Output, b: Output): Output {
  const text = a === NO_OUTPUT ? b.text : undefined
  return { ...(text === undefined ? {} : { text }), fetches: a.fetches || b.fetches, reads: a.reads || b.reads }
}
