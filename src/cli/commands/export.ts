import { printableText } from '../../core/index.js'
import {
  exportAsciicast,
  verifyRecording,
  type AsciicastOptions,
  type AsciicastSummary,
} from '../../recording/index.js'
import { readArguments, wholeNumber } from '../arguments.js'
import { UsageError, type CliCommand, type ExitCode, type Io } from '../command.js'
import { openInput } from '../input.js'
import { linkSegments, replaySegments, type Checked } from '../segments.js'

const VERSIONS: Readonly<Record<string, 2 | 3>> = { asciicast: 2, 'asciicast-v2': 2, 'asciicast-v3': 3 }

/** Turns a recorded terminal into a file for players. */
export const exportCommand: CliCommand = {
  name: 'export',
  summary: 'write a recorded terminal as an asciicast file',
  help: `Usage: sallyport export [options] FILE...

Writes one terminal of a recording to standard output, in a form that asciinema and other players read: output, input where it
was recorded, sizes, and command lines as markers. Verifies the recording on the way; nothing from the first bad line on is written. Give all
segments of a session, in any order, or one of them. \`-\` is standard input.

Sequences that would act on the terminal of who watches (clipboard, links, titles, questions, images) are taken out. Bytes that
are not UTF-8, which the format cannot hold, become U+FFFD. What was taken out or replaced is said on standard error; the recording keeps it.

Options:
  --format F     asciicast (version 2, the default), asciicast-v2 or asciicast-v3 (with the exit code)
  --command N    the terminal of this command; default: the first with one
  --channel N    everything in this channel
  --title TEXT   the title
  --no-input     leave what was typed away
  --raw          keep sequences that act on a terminal
  -h, --help     show this

Exit status: 0 written, and the recording verifies; 1 it does not, or has no such terminal; 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { values, positionals } = readArguments(args, {
      format: { type: 'string' },
      command: { type: 'string' },
      channel: { type: 'string' },
      title: { type: 'string' },
      'no-input': { type: 'boolean' },
      raw: { type: 'boolean' },
    })
    const version = VERSIONS[values.format ?? 'asciicast']
    if (version === undefined)
      throw new UsageError(`expected --format to be one of ${Object.keys(VERSIONS).join(', ')}`)
    if (positionals.length === 0) throw new UsageError('expected at least one FILE')
    const files = await inOrder(positionals, io)
    if (files === undefined) return 1
    const options: AsciicastOptions = {
      version,
      ...(values.command === undefined ? {} : { commandId: wholeNumber('--command', values.command) }),
      ...(values.channel === undefined ? {} : { channelId: wholeNumber('--channel', values.channel) }),
      ...(values.title === undefined ? {} : { title: values.title }),
      omitInput: values['no-input'] === true,
      isRaw: values.raw === true,
    }
    const lines = exportAsciicast(replaySegments(files, io), options)
    for (;;) {
      const step = await lines.next()
      if (step.done === true) return conclude(step.value, io)
      await io.out(step.value)
    }
  },
}

/** The segments in their order. Undefined, and said: something is wrong with them, or they are not of one session. */
async function inOrder(files: readonly string[], io: Io): Promise<readonly string[] | undefined> {
  if (files.length === 1) return files
  if (files.includes('-')) throw new UsageError('standard input cannot be one of several segments')
  let checked: Checked[] = []
  for (const file of files) checked.push({ file, result: await verifyRecording(openInput(file, io)) })
  if (new Set(checked.map(({ result }) => result.sessionId)).size > 1) {
    throw new UsageError('expected segments of one session')
  }
  checked = linkSegments(checked)
  const bad = checked.findIndex(({ result }, index) => !result.ok && !isCutOff(result.problem?.kind, index, checked))
  if (bad === -1) return checked.map(({ file }) => file)
  const { file, result } = checked[bad] as Checked
  io.error(
    printableText(`sallyport export: ${file}, line ${result.problem?.line ?? 0}: ${result.problem?.message ?? ''}`),
  )
  return undefined
}

/** The last segment may be one that a crash left, or one that is still being written. */
function isCutOff(kind: string | undefined, index: number, checked: readonly Checked[]): boolean {
  return index === checked.length - 1 && (kind === 'unclosed' || kind === 'torn-tail')
}

function conclude(summary: AsciicastSummary, io: Io): ExitCode {
  const { commandId, replacements, removedBytes, verification } = summary
  const { problem } = verification
  if (replacements > 0) io.error(`sallyport export: ${replacements} times U+FFFD stands for bytes that are not UTF-8`)
  if (removedBytes > 0) io.error(`sallyport export: ${removedBytes} bytes that act on a terminal were taken out`)
  if (problem !== undefined) {
    io.error(`sallyport export: does not verify, line ${problem.line}: ${problem.message} (${problem.kind})`)
  }
  if (commandId === undefined) io.error('sallyport export: the recording has no such terminal')
  return problem === undefined && commandId !== undefined ? 0 : 1
}
