import { formatEntry, replayRecording, type VerifyResult } from '../../recording/index.js'
import { oneFile, positiveNumber, readArguments, wholeNumber } from '../arguments.js'
import { UsageError, type CliCommand, type ExitCode, type Io } from '../command.js'
import { openInput } from '../input.js'
import { playTerminal, type PlayOptions } from './play.js'

/** Prints what a recording holds. */
export const replayCommand: CliCommand = {
  name: 'replay',
  summary: 'print a recording for a person or as JSON lines, or play its terminal',
  help: `Usage: sallyport replay [options] FILE

Prints a recording event by event and verifies it on the way. Nothing recorded can act on the terminal: control,
bidirectional and invisible characters are shown by their code. From the first bad line on, lines begin with \`!\`.
\`-\` is standard input.

With --play it plays a recorded terminal as it was, at its own pace. What would act on your terminal is taken out: clipboard, links,
titles, questions that a terminal answers as if typed, images, modes of keys and mouse, 8-bit controls.

Options:
  --json         print the lines as recorded
  --no-output    leave recorded output away
  --play         play a terminal: the first, or that of --command N or --channel N
  --speed N      play so many times faster
  --idle S       no pause longer than so many seconds; default 2
  --raw          play every byte as it was: only on a terminal that may be lost
  -h, --help     show this

Exit status: 0 the recording verifies, 1 it does not, 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { values, positionals } = readArguments(args, {
      json: { type: 'boolean' },
      'no-output': { type: 'boolean' },
      ...PLAY_FLAGS,
    })
    const omitOutput = values['no-output'] === true
    const file = oneFile(positionals)
    const play = playOptions(values)
    if (play !== undefined && (omitOutput || values.json === true)) {
      throw new UsageError('--play goes with neither --json nor --no-output')
    }
    const reader = replayRecording(openInput(file, io))
    if (play !== undefined) {
      const { verification, hasTerminal } = await playTerminal(reader, play, io)
      if (!hasTerminal) io.error('sallyport replay: the recording has no such terminal')
      return hasTerminal ? conclude(verification, io) : 1
    }
    for (;;) {
      const step = await reader.next()
      if (step.done === true) return conclude(step.value, io)
      const entry = step.value
      if (values.json !== true) {
        const lines = formatEntry(entry, { omitOutput })
        if (lines.length > 0) await io.out(`${lines.join('\n')}\n`)
      } else if (entry.event !== undefined && !(omitOutput && isOutput(entry.event['type']))) {
        // A line that somebody changed may hold anything; what does not parse is not JSON anyway.
        await io.out(`${entry.isVerified ? entry.raw : escapeNonAscii(entry.raw)}\n`)
      }
    }
  },
}

/** Timers count in 31 bits: a longer one fires at once. */
const MAX_TIMER_MS = 2_147_483_647

const PLAY_FLAGS = {
  play: { type: 'boolean' },
  command: { type: 'string' },
  channel: { type: 'string' },
  speed: { type: 'string' },
  idle: { type: 'string' },
  raw: { type: 'boolean' },
} as const

interface PlayValues {
  readonly play?: boolean | undefined
  readonly command?: string | undefined
  readonly channel?: string | undefined
  readonly speed?: string | undefined
  readonly idle?: string | undefined
  readonly raw?: boolean | undefined
}

/** Undefined: not to be played. */
function playOptions(values: PlayValues): PlayOptions | undefined {
  const { play, command, channel, speed, idle, raw } = values
  if (play !== true) {
    const hasOther = [command, channel, speed, idle, raw].some((value) => value !== undefined)
    if (hasOther) throw new UsageError('--command, --channel, --speed, --idle and --raw go with --play')
    return undefined
  }
  return {
    selection: {
      ...(command === undefined ? {} : { commandId: wholeNumber('--command', command) }),
      ...(channel === undefined ? {} : { channelId: wholeNumber('--channel', channel) }),
    },
    speed: speed === undefined ? 1 : positiveNumber('--speed', speed),
    maxIdleMs: idle === undefined ? 2_000 : Math.min(MAX_TIMER_MS, positiveNumber('--idle', idle) * 1_000),
    isRaw: raw === true,
  }
}

function isOutput(type: unknown): boolean {
  return type === 'output' || type === 'content'
}

function conclude({ problem }: VerifyResult, io: Io): ExitCode {
  if (problem === undefined) return 0
  io.error(`sallyport: does not verify, line ${problem.line}: ${problem.message} (${problem.kind})`)
  return 1
}

function escapeNonAscii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
