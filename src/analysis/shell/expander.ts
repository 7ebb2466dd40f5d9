import {
  forEachChild,
  type ParameterExpansionPart,
  type ParsedScript,
  parse,
  type SyntaxNode,
  type Word,
  type WordPart,
} from 'unbash'
import { expandBraces } from './braces.js'
import { hasOddCharacter, hasSubstitution, refuseQuote, ShellProblem } from './problem.js'
import { ANY, isKnownShape, ONE, type WordValue } from './word-value.js'

/** Who walks the line on which words are expanded. */
export interface ExpansionHost {
  /** Walks what a substitution runs. Says whether something in it fetches from the network. */
  substitution(script: ParsedScript | undefined): { readonly fetches: boolean }
  /** Shells read this differently. */
  differ(): void
  /** Characters that are read more than once are counted. */
  spend(characters: number): void
  unseen(): void
  /** Arithmetic is done, which takes variables for expressions. */
  calculates(): void
  /** A value that arithmetic would run. */
  hasCode(): void
  tilde(): void
  /** A variable is given a value nobody knows. */
  sets(name: string): void
}

const MAX_BRACE_WORDS = 1000
const MAX_BRACE_LENGTH = 4096

/** What a word becomes: one value, or several where braces make several words of it. */
export function expandWord(word: Word, host: ExpansionHost): readonly WordValue[] {
  if (!word.text.includes('{') || !word.parts?.some((part) => part.type === 'BraceExpansion')) {
    return [evaluateWord(word, host)]
  }
  host.differ()
  const texts =
    word.text.length > MAX_BRACE_LENGTH || /[`]|\$\(|[<>]\(/.test(word.text)
      ? undefined
      : expandBraces(word.text, MAX_BRACE_WORDS)
  if (texts === undefined) {
    // Its substitutions still run, in whatever order and number.
    return [{ ...evaluateWord(word, host), shape: ANY, isKnown: false, mayVary: true }]
  }
  return texts.flatMap((text) => {
    host.spend(text.length + 2)
    const again = parse(`: ${text}`)
    const command = again.commands[0]?.command
    const only = command?.type === 'Command' && command.suffix.length === 1 ? command.suffix[0] : undefined
    if (text === '') return []
    if (again.errors !== undefined || only === undefined)
      throw new ShellProblem('braces expand to something else than words')
    if (only.type === 'Assignment')
      return [evaluateText(text, only.value.type === 'Word' ? only.value : undefined, host)]
    if (only.type !== 'Word') throw new ShellProblem('braces expand to something else than words')
    return [evaluateWord(only, host)]
  })
}

/** `name=value` where it is not an assignment. */
export function evaluateText(text: string, value: Word | undefined, host: ExpansionHost): WordValue {
  if (value === undefined) return { ...EMPTY, text, shape: ANY, isKnown: false, mayVary: true }
  const head = text.slice(0, text.indexOf('=') + 1)
  const evaluated = evaluateWord(value, host)
  // Bash replaces this tilde, the others leave it.
  if (evaluated.hasTilde) host.differ()
  return { ...evaluated, text: head + evaluated.text, shape: head + evaluated.shape, hasTilde: false }
}

const EMPTY: WordValue = {
  text: '',
  shape: '',
  isKnown: true,
  mayVary: false,
  hasTilde: false,
  fetches: false,
  isOutput: false,
}

/** A word without regard to braces, as where the shell does not expand them. */
export function evaluateWord(word: Word, host: ExpansionHost): WordValue {
  const { text, value } = word
  const hasTilde = text.startsWith('~')
  if (hasTilde) host.tilde()
  const parts = word.parts
  if (parts === undefined) {
    if (hasOddCharacter(value)) throw new ShellProblem('a character that shells and people read differently')
    // zsh: the path of a program, and what is in a history.
    if (/^=[A-Za-z]/.test(text)) host.differ()
    if (hasTilde && /^~[+\-0-9]/.test(text)) return { ...EMPTY, text, shape: ANY, isKnown: false }
    if (hasSubstitution(value)) host.hasCode()
    // Bash replaces tildes in what looks like an assignment, the others leave them.
    if (/^[A-Za-z_]\w*\+?=(?:.*:)?~/.test(text)) host.differ()
    return { ...EMPTY, text: value, shape: value, hasTilde }
  }
  const result = new Evaluation(host)
  for (const part of parts) result.part(part, false)
  const { shape } = result
  if (hasSubstitution(shape)) host.hasCode()
  if (hasTilde && /^~[+\-0-9]/.test(text)) return { ...result.value(value), shape: ANY, isKnown: false }
  return { ...result.value(value), shape, hasTilde: hasTilde || (shape.startsWith('~') && !isKnownShape(shape)) }
}

/** The text of a here-document without quotes around its delimiter. */
export function evaluateParts(parts: readonly WordPart[], host: ExpansionHost): WordValue {
  const result = new Evaluation(host)
  for (const part of parts) result.part(part, true)
  return result.value(parts.map((part) => part.text).join(''))
}

class Evaluation {
  shape = ''
  private mayVary = false
  private fetches = false
  private isOutput = false
  private readonly host: ExpansionHost

  constructor(host: ExpansionHost) {
    this.host = host
  }

  value(text: string): WordValue {
    const isKnown = isKnownShape(this.shape)
    const { shape, mayVary, fetches, isOutput } = this
    return { text: isKnown ? shape : text, shape, isKnown, mayVary, hasTilde: false, fetches, isOutput }
  }

  part(part: WordPart, isQuoted: boolean): void {
    switch (part.type) {
      case 'Literal':
        if (!isQuoted && hasOddCharacter(part.value)) {
          throw new ShellProblem('a character that shells and people read differently')
        }
        if (this.shape === '' && !isQuoted && /^=[A-Za-z]/.test(part.value)) this.host.differ()
        this.shape += part.value
        return
      case 'SingleQuoted':
        this.shape += part.value
        return
      case 'AnsiCQuoted':
        this.ansi(part.text, part.value)
        return
      case 'DoubleQuoted':
        for (const child of part.parts) {
          // Not a quote of this kind here, whatever the parser says.
          if (child.type === 'ParameterExpansion' && child.text.includes("$'")) refuseQuote(child.text)
          this.part(child, true)
        }
        return
      case 'LocaleString':
        this.host.differ()
        for (const child of part.parts) this.part(child, true)
        return
      case 'SimpleExpansion':
        this.unknown(isQuoted && part.text !== '$@', part.text === '$HOME')
        return
      case 'ParameterExpansion':
        // zsh: flags, one of which expands the value once more.
        if (isPromptExpansion(part.operation) || part.text.startsWith('${(')) this.host.unseen()
        if (part.operation?.type === 'Default' && part.operation.operator.endsWith('=')) {
          this.host.sets(part.parameter)
          if (part.text.includes("'") && hasSubstitution(part.text)) this.host.hasCode()
        }
        expandsNumber(part, this.host)
        this.nested(part)
        this.unknown(isQuoted && part.parameter !== '@' && part.index === undefined, part.text === '${HOME}')
        return
      case 'CommandExpansion': {
        const { fetches } = this.host.substitution(part.script)
        this.fetches ||= fetches
        this.isOutput = true
        this.unknown(isQuoted)
        return
      }
      case 'ProcessSubstitution': {
        this.host.differ()
        const { fetches } = this.host.substitution(part.script)
        this.fetches ||= fetches
        this.isOutput = true
        this.shape += `/dev/fd/${ANY}`
        return
      }
      case 'ArithmeticExpansion':
        refuseQuote(part.text)
        this.host.calculates()
        this.nested(part)
        if (part.text.startsWith('$[')) this.host.differ()
        this.unknown(true)
        return
      case 'Glob':
        this.mayVary = true
        if (part.kind === 'bracket') this.nested(part)
        this.shape += part.kind === 'star' ? ANY : ONE
        return
      case 'ExtendedGlob':
        // Off unless switched on; and zsh reads code out of what looks the same.
        this.host.differ()
        this.host.unseen()
        this.nested(part)
        this.unknown(false)
        return
      case 'BraceExpansion':
        this.nested(part)
        this.unknown(false)
        return
      default:
        throw new ShellProblem(`a part of a word that is not known: ${String((part satisfies never as WordPart).type)}`)
    }
  }

  private unknown(isOneWord: boolean, isHome = false): void {
    if (!isOneWord) this.mayVary = true
    this.shape += isHome && this.shape === '' ? '~' : ANY
    // Not known, though it may be taken for a home directory where that matters.
    if (isHome && this.shape === '~') this.shape = `~${ANY}`
  }

  private ansi(text: string, value: string): void {
    this.host.differ()
    // Others end the quotes here, and read on.
    if (text.includes("\\'")) throw new ShellProblem('an escaped quote that only some shells know')
    // Bytes, and characters that depend on a locale.
    const isOdd =
      value.includes('\0') || (/\\(?:[uU]|[x0-7])/.test(text.replace(/\\\\/g, '')) && /[^\u0001-\u007e]/.test(value))
    this.shape += isOdd ? ANY : value
  }

  /** Walks what is inside of a part for the substitutions in it. */
  private nested(node: SyntaxNode): void {
    walkSubstitutions(node, this.host, (fetches) => {
      this.fetches ||= fetches
      this.isOutput = true
    })
  }
}

/** Finds the substitutions below a node, whose own value does not matter. */
export function walkSubstitutions(
  node: SyntaxNode,
  host: ExpansionHost,
  found: (fetches: boolean) => void = () => {},
): void {
  forEachChild(node, (child) => {
    switch (child.type) {
      case 'Word':
        if (child.parts !== undefined) for (const part of child.parts) visit(part)
        return
      default:
        visit(child)
    }
  })
  function visit(child: SyntaxNode): void {
    if (
      child.type === 'CommandExpansion' ||
      child.type === 'ProcessSubstitution' ||
      child.type === 'ArithmeticCommandExpansion'
    ) {
      found(host.substitution(child.script).fetches)
    } else {
      if (isPromptExpansion(child)) host.unseen()
      if (child.type === 'ParameterExpansion') expandsNumber(child, host)
      if (child.type === 'ArithmeticExpansion') {
        refuseQuote(child.text)
        host.calculates()
      }
      walkSubstitutions(child, host, found)
    }
  }
}

/** Subscripts and slices are arithmetic; the variable that `${!x}` names may have a subscript. */
function expandsNumber(part: ParameterExpansionPart, host: ExpansionHost): void {
  const { index, operation, prefix, text } = part
  if (index !== undefined || operation?.type === 'Slice') refuseQuote(text)
  if (index !== undefined || operation?.type === 'Slice' || prefix === '!') host.calculates()
}

/** `${x@P}` runs what the value of `x` says. */
function isPromptExpansion(node: SyntaxNode | undefined): boolean {
  return node?.type === 'Transform' && node.operand.text === 'P'
}
