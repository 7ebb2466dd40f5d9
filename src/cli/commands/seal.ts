import { printableText } from '../../core/index.js'
import { sealRecordingFile } from '../../gateway/seal-file.js'
import { oneFile, readArguments } from '../arguments.js'
import type { CliCommand } from '../command.js'

/** Closes a recording that a crash left open. */
export const sealCommand: CliCommand = {
  name: 'seal',
  summary: 'close a recording that a crash left open',
  help: `Usage: sallyport seal FILE

Appends a seal behind the last good line of a recording without an end. An incomplete last line is moved into it.
A gateway does this by itself when it starts. Refuses a recording that a running gateway may still write to, and one that was
changed.

Options:
  -h, --help     show this

Exit status: 0 it is closed now (or was), 1 it cannot be sealed, 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { positionals } = readArguments(args, {})
    const file = oneFile(positionals)
    const result = await sealRecordingFile(file, { nowUnixMs: () => Date.now() })
    const what = result.sealed
      ? `sealed, ${result.tornBytes} bytes of an incomplete line moved into the seal`
      : 'closed already'
    await io.out(`${printableText(file)}: ${what}, ${result.lines} lines, head ${result.head}\n`)
    return 0
  },
}
