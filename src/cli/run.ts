import { printableText, SallyportError } from '../core/index.js'
import { UsageError, type CliCommand, type ExitCode, type Io } from './command.js'
import { exportCommand } from './commands/export.js'
import { policyCheckCommand } from './commands/policy-check.js'
import { replayCommand } from './commands/replay.js'
import { sealCommand } from './commands/seal.js'
import { verifyCommand } from './commands/verify.js'

const COMMANDS: readonly CliCommand[] = [verifyCommand, replayCommand, exportCommand, sealCommand, policyCheckCommand]

/** Runs one command line, without the program's own name. Never throws. */
export async function runCli(args: readonly string[], version: string, io: Io): Promise<ExitCode> {
  const [first] = args
  if (first === undefined) {
    io.error(overview().trimEnd())
    return 2
  }
  if (first === '--help' || first === '-h') {
    await io.out(overview())
    return 0
  }
  if (first === '--version' || first === '-V') {
    await io.out(`sallyport ${version}\n`)
    return 0
  }
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, index) => args[index] === word))
  if (command === undefined) {
    io.error(printableText(`sallyport: there is no command \`${args.slice(0, 2).join(' ')}\`; see sallyport --help`))
    return 2
  }
  const rest = args.slice(command.name.split(' ').length)
  const options = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest
  if (options.includes('--help') || options.includes('-h')) {
    await io.out(command.help)
    return 0
  }
  try {
    return await command.run(rest, io)
  } catch (error) {
    return explain(command, error, io)
  }
}

function explain(command: CliCommand, error: unknown, io: Io): ExitCode {
  const message = error instanceof Error ? error.message : String(error)
  io.error(printableText(`sallyport ${command.name}: ${message}`))
  if (error instanceof UsageError) {
    io.error(`see sallyport ${command.name} --help`)
    return 2
  }
  // Ours: asked and answered no. Everything else comes from the file system.
  return error instanceof SallyportError ? 1 : 2
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length))
  const list = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n')
  return `Usage: sallyport COMMAND [options] ...

Commands:
${list}

Options:
  -h, --help     show this, or a command's help
  -V, --version  show the version
`
}
