import type {
  EnvironmentVariable,
  NetworkTarget,
  PortForwardCommand,
  ShellFacts,
  ShellHazard,
  SftpCommand,
  SshRequestCommand,
} from '../core/index.js'
import { describeFiles } from './describe-files.js'
import { plain } from './plain.js'
import { renderForDisplay } from './render.js'

const HAZARDS: Readonly<Record<ShellHazard, string>> = {
  'destructive-delete': 'DELETES what may not come back: recursively, by pattern, or what the system needs',
  'disk-overwrite': 'OVERWRITES a disk, a partition or a file system',
  'credential-file': 'touches private keys, passwords or tokens',
  'reverse-shell': 'GIVES A SHELL to somebody on the network',
  'download-and-run': 'RUNS what it fetches from the network',
  firewall: 'opens or switches off packet filters, listens, or tunnels',
  'log-tampering': 'clears or switches off histories, logs or auditing',
  'service-stop': 'stops a service',
  shutdown: 'shuts the machine down or restarts it',
  'fork-bomb': 'starts processes without end',
  'privilege-change': 'changes who may do what: users, groups, sudo, setuid, capabilities',
  persistence: 'arranges for something to run later, or at every log-in',
  exfiltration: 'sends files or output to the network',
  'unseen-code': 'runs code that the line does not show',
  redefinition: 'changes what later lines of this shell mean',
}

/** A command line's effects by the analysis, the hazards first. */
export function describeShellFacts(facts: ShellFacts): string[] {
  const lines: string[] = []
  if (facts.certainty === 'unparsed') lines.push(`not understood: ${plain(facts.problem ?? 'no reason given')}`)
  else if (facts.certainty === 'conservative') lines.push('parts of it are known only when it runs')
  for (const hazard of facts.hazards) lines.push(`${HAZARDS[hazard]} (${hazard})`)
  if (facts.isPrivileged) lines.push('runs as another user')
  const programs = [...new Set(facts.commands.map((command) => plain(command.program ?? `unknown: ${command.word}`)))]
  if (programs.length > 0) lines.push(`runs: ${programs.join(', ')}`)
  const remote = facts.commands.filter((command) => command.isRemote)
  if (remote.length > 0) {
    const names = new Set(remote.map(({ program, word }) => plain(program ?? word)))
    lines.push(`runs elsewhere: ${[...names].join(', ')}`)
  }
  lines.push(...describeFiles(facts.files), ...facts.network.map(describeTarget))
  return lines
}

function describeTarget({ host, port, direction }: NetworkTarget): string {
  const where = `${host === undefined ? 'a host not known from the text' : plain(host)}${port === undefined ? '' : `, port ${port}`}`
  return direction === 'listen' ? `listens for connections: ${where}` : `connects to ${where}`
}

export const TERMINAL_EFFECTS: readonly string[] = Object.freeze([
  'starts an interactive shell: what will be typed into it is no part of this approval',
])

export function describeSftp(command: SftpCommand): string[] {
  const lines = describeFiles(command.files)
  if (command.operation !== 'extension') return lines
  return [`uses the extension ${plain(command.extension ?? 'unknown')}`, ...lines]
}

export function describeForward(command: PortForwardCommand): string[] {
  const { direction, host, port, socketPath } = command
  const where =
    socketPath === undefined
      ? `${host === undefined || host === '' ? 'every address' : plain(host)}, port ${port ?? 'of its own choice'}`
      : `socket ${plain(socketPath)}`
  return [
    direction === 'local'
      ? `lets the client talk to ${where}, as if from the target`
      : `has the target listen on ${where}, and lets whoever connects talk to the client`,
  ]
}

export function describeRequest(command: SshRequestCommand): string[] {
  return [command.name === '' ? plain(command.via) : `${plain(command.via)}: ${plain(command.name)}`]
}

/** One line per variable, rendered: `LANG = 'C'`. */
export function describeEnvironment(environment: readonly EnvironmentVariable[], warnings: Set<string>): string[] {
  return environment.map(({ name, value }) => {
    const rendering = renderForDisplay(value, { maxCharacters: MAX_VALUE_CHARACTERS })
    for (const warning of rendering.warnings) warnings.add(`in a variable: ${warning}`)
    return `${plain(name)} = '${plain(value, MAX_VALUE_CHARACTERS).replaceAll("'", "''")}'`
  })
}

/** Characters shown of one value. */
const MAX_VALUE_CHARACTERS = 1024
