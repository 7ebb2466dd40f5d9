/** What the command line of the far end of a legacy scp says. */
export interface ScpCommand {
  /** `source`: the target sends files (`scp -f`). `sink`: it takes them (`scp -t`). */
  readonly mode: 'source' | 'sink'
  readonly isRecursive: boolean
  readonly preservesTimes: boolean
  /** The path to write to has to be a directory (`-d`). */
  readonly expectsDirectory: boolean
  /** As the words stand: patterns and `~` are for the target's shell. One for `sink`. */
  readonly paths: readonly string[]
}

/** Options that OpenSSH's client gives the far end, and those that change nothing about what is sent. */
const OPTIONS: ReadonlySet<string> = new Set(['f', 't', 'r', 'p', 'd', 'v', 'q'])

/**
 * Reads the words of a command line that runs the far end of scp.
 *
 * @param argv the words, the program first, unquoted
 * @returns undefined where it is anything else, or has an option whose meaning is not known
 * @example parseScpCommand(['scp', '-r', '-t', '--', '/srv']) // { mode: 'sink', isRecursive: true, paths: ['/srv'], ... }
 */
export function parseScpCommand(argv: readonly string[]): ScpCommand | undefined {
  const [program, ...words] = argv
  if (program === undefined || program.slice(program.lastIndexOf('/') + 1) !== 'scp') return undefined
  const options = new Set<string>()
  let at = 0
  for (; at < words.length; at++) {
    const word = words[at] as string
    if (word === '--') {
      at++
      break
    }
    if (!word.startsWith('-') || word === '-') break
    for (const option of word.slice(1)) {
      if (!OPTIONS.has(option)) return undefined
      options.add(option)
    }
  }
  const paths = words.slice(at)
  // Some programs take options behind paths: what such a word would be is not clear.
  if (words[at - 1] !== '--' && paths.some((path) => path.startsWith('-'))) return undefined
  const isSink = options.has('t')
  if (isSink === options.has('f') || paths.length === 0 || (isSink && paths.length !== 1)) return undefined
  return {
    mode: isSink ? 'sink' : 'source',
    isRecursive: options.has('r'),
    preservesTimes: options.has('p'),
    expectsDirectory: options.has('d'),
    paths,
  }
}
