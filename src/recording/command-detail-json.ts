import type { FileAccess, NetworkTarget, ShellFacts } from '../core/index.js'
import type { CommandDetail } from './command-detail.js'
import { asciiJson } from './line.js'
import { redactSecretsInCommandLine } from './redact-command-line.js'

/** A record names at most this many programs, files and hosts of one command; how many more there were is said. */
const MAX_NAMES = 64

type Json = Readonly<Record<string, unknown>>

/** The members that a command's detail adds to its line, each with a comma in front. */
export function commandDetailJson(detail: CommandDetail): string {
  const { facts, files, environment, extension, host, socketPath, name, ...rest } = detail
  const json = asciiJson({
    ...rest,
    ...(extension === undefined ? {} : { extension: redact(extension) }),
    ...(host === undefined ? {} : { host: redact(host) }),
    ...(socketPath === undefined ? {} : { socketPath: redact(socketPath) }),
    ...(name === undefined ? {} : { name: redact(name) }),
    ...(environment === undefined || environment.length === 0 ? {} : { environment: environment.slice(0, MAX_NAMES) }),
    ...(facts === undefined ? {} : { facts: factsOf(facts) }),
    ...(files === undefined ? {} : { files: files.slice(0, MAX_NAMES).map(fileOf) }),
  })
  return json === '{}' ? '' : `,${json.slice(1, -1)}`
}

/** What of a command line's facts is worth keeping: what the decision can be understood by, and none of its words. */
function factsOf(facts: ShellFacts): Json {
  const programs = facts.commands.map(({ program }) => program ?? '?')
  const unique = [...new Set(programs)]
  const omitted = excess(unique) + excess(facts.files) + excess(facts.network)
  return {
    certainty: facts.certainty,
    ...(facts.problem === undefined ? {} : { problem: redact(facts.problem) }),
    programs: unique.slice(0, MAX_NAMES).map(redact),
    ...(facts.hazards.length === 0 ? {} : { hazards: facts.hazards }),
    ...(facts.files.length === 0 ? {} : { files: facts.files.slice(0, MAX_NAMES).map(fileOf) }),
    ...(facts.network.length === 0 ? {} : { network: facts.network.slice(0, MAX_NAMES).map(targetOf) }),
    ...(facts.isPrivileged ? { isPrivileged: true } : {}),
    ...(omitted === 0 ? {} : { omitted }),
  }
}

function fileOf(file: FileAccess): Json {
  return {
    path: redact(file.path),
    modes: file.modes,
    ...(file.isRecursive ? { isRecursive: true } : {}),
    ...(file.isExact ? {} : { isExact: false }),
  }
}

function targetOf({ host, port, direction }: NetworkTarget): Json {
  return {
    ...(host === undefined ? {} : { host: redact(host) }),
    ...(port === undefined ? {} : { port }),
    direction,
  }
}

function redact(text: string): string {
  return redactSecretsInCommandLine(text)
}

function excess(items: readonly unknown[]): number {
  return Math.max(0, items.length - MAX_NAMES)
}
