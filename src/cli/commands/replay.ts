import { formatEntry, replayRecording } from '../../recording/index.js'
import { oneFile, readArguments } from '../arguments.js'
import type { CliCommand } from '../command.js'
import { openInput } from '../input.js'

/** Prints what a recording holds. */
export const replayCommand: CliCommand = {
  name: 'replay',
  summary: 'print a recording for a person, or as JSON lines',
  help: `Usage: sallyport replay [options] FILE

Prints a recording event by event and verifies it on the way. Nothing recorded can act on the terminal: control,
bidirectional and invisible characters are shown by their code. From the first bad line on, lines begin with \`!\`.
\`-\` is standard input.

Options:
  --json         print the lines as recorded
  --no-output    leave recorded output away
  -h, --help     show this

Exit status: 0 the recording verifies, 1 it does not, 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { values, positionals } = readArguments(args, { json: { type: 'boolean' }, 'no-output': { type: 'boolean' } })
    const omitOutput = values['no-output'] === true
    const reader = replayRecording(openInput(oneFile(positionals), io))
    for (;;) {
      const step = await reader.next()
      if (step.done === true) {
        const { problem } = step.value
        if (problem === undefined) return 0
        io.error(`sallyport: does not verify, line ${problem.line}: ${problem.message} (${problem.kind})`)
        return 1
      }
      const entry = step.value
      if (values.json !== true) {
        const lines = formatEntry(entry, { omitOutput })
        if (lines.length > 0) await io.out(`${lines.join('\n')}\n`)
      } else if (entry.event !== undefined && !(omitOutput && entry.event['type'] === 'output')) {
        // A line that somebody changed may hold anything; what does not parse is not JSON anyway.
        await io.out(`${entry.isVerified ? entry.raw : escapeNonAscii(entry.raw)}\n`)
      }
    }
  },
}

function escapeNonAscii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
