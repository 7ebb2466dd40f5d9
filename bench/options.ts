/** Every group of measurements, in the order in which they run. */
export const SUITE_NAMES = ['pgbench', 'bulk', 'connect', 'memory', 'decisions', 'masking', 'recording', 'ssh'] as const

export type SuiteName = (typeof SUITE_NAMES)[number]

export interface BenchOptions {
  /** Short rounds and fewer of them: shows that everything runs, not how fast. */
  readonly isQuick: boolean
  readonly only: readonly SuiteName[]
  /** Where to write the tables as Markdown too. */
  readonly markdownFile?: string
  /** Profile the gateway instead of timing it. */
  readonly isProfile: boolean
}

export const USAGE = `npm run bench -- [options]

Measures the gateway beside a bare relay, pgbouncer and a direct connection, in interleaved rounds.
Needs PostgreSQL's server binaries and pgbench, for SSH those of OpenSSH. Takes a quarter of an hour; --quick takes three minutes.

  --quick           short rounds, and fewer of them
  --only NAME       one group of: ${SUITE_NAMES.join(', ')}; may be repeated
  --markdown FILE   also write the tables to FILE
  --profile         print where the gateway's CPU time goes, instead of measuring
  --help            this text
`

/** @throws Error that says which argument is not understood */
export function readOptions(args: readonly string[]): BenchOptions | 'help' {
  let isQuick = false
  let isProfile = false
  let markdownFile: string | undefined
  const only: SuiteName[] = []
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]
    if (argument === '--help') return 'help'
    else if (argument === '--quick') isQuick = true
    else if (argument === '--profile') isProfile = true
    else if (argument === '--only') only.push(suiteName(args[++i]))
    else if (argument === '--markdown') markdownFile = valueOf(argument, args[++i])
    else throw new Error(`\`${argument}\` is not an option; see --help`)
  }
  return {
    isQuick,
    isProfile,
    only: only.length === 0 ? SUITE_NAMES : only,
    ...(markdownFile === undefined ? {} : { markdownFile }),
  }
}

function suiteName(text: string | undefined): SuiteName {
  const name = SUITE_NAMES.find((candidate) => candidate === text)
  if (name === undefined) throw new Error(`--only takes one of ${SUITE_NAMES.join(', ')}`)
  return name
}

function valueOf(name: string, value: string | undefined): string {
  if (value === undefined) throw new Error(`${name} takes a value`)
  return value
}
