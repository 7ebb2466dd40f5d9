import type { ShellFacts, ShellSimpleCommand } from '../../core/index.js'

/** The facts of a line on one line, for tables of expectations: only what is not the usual is said. */
export function summarizeShell(facts: ShellFacts): string {
  const parts = [facts.certainty, ...facts.commands.map(commandSummary)]
  if (facts.files.length > 0) {
    parts.push(
      facts.files
        .map(({ path, modes, isRecursive, isExact }) => {
          return `${modes.join('+')}${isRecursive ? '/r' : ''}:${path}${isExact ? '' : '?'}`
        })
        .join(' '),
    )
  }
  if (facts.network.length > 0) {
    parts.push(
      facts.network
        .map(({ host, port, direction }) => `${direction}=${host ?? '?'}${port === undefined ? '' : `:${port}`}`)
        .join(' '),
    )
  }
  if (facts.isPrivileged) parts.push('PRIVILEGED')
  if (facts.hazards.length > 0) parts.push(`! ${facts.hazards.join(' ')}`)
  return parts.join(' | ').replaceAll('\n', '⏎')
}

function commandSummary(command: ShellSimpleCommand): string {
  const { program, word, flags, operands, assignments, wrappers, isRemote, certainty } = command
  return [
    ...assignments.map(({ name, value }) => `${name}=${value ?? '?'}`),
    wrappers.map((wrapper) => `${wrapper} > `).join('') +
      (program === undefined ? `UNKNOWN ${word}` : program) +
      (certainty === 'conservative' ? '~' : '') +
      (isRemote ? '@' : '') +
      (flags.length > 0 ? `{${flags.join(',')}}` : ''),
    ...operands.map((operand) => JSON.stringify(operand).slice(1, -1)),
  ].join(' ')
}

export interface CorpusCase {
  /** The hazard that every line of the section has, or `harmless`. */
  readonly section: string
  readonly text: string
  readonly expected: string
}

/** Reads pairs of a line and, indented, what is expected of it; sections begin with `##`, line breaks are written as ⏎. */
export function corpusCases(file: string): readonly CorpusCase[] {
  const cases: CorpusCase[] = []
  let section = ''
  let text: string | undefined
  for (const line of file.split('\n')) {
    if (line.startsWith('## ')) section = line.slice(3)
    else if (line === '' || line.startsWith('#')) continue
    else if (line.startsWith('    ')) {
      if (text === undefined) throw new Error(`an expectation without a line: ${line}`)
      cases.push({ section, text: text.replaceAll('⏎', '\n'), expected: line.slice(4) })
      text = undefined
    } else text = line
  }
  return cases
}
