import { printableText } from '../../core/index.js'
import { verifyRecording, type VerifyOptions } from '../../recording/index.js'
import { readArguments } from '../arguments.js'
import { UsageError, type CliCommand } from '../command.js'
import { openInput } from '../input.js'
import { linkSegments, type Checked } from '../segments.js'

/** Checks recordings and names the first bad line of each. */
export const verifyCommand: CliCommand = {
  name: 'verify',
  summary: 'check recordings and name the first bad line',
  help: `Usage: sallyport verify [options] FILE...

Checks form, order and hash of every line, that the end marker is there, and, for recordings of several
segments, that none is missing. Give all segments of a session, in any order. \`-\` is standard input.

Options:
  --session ID   fail unless this is the session recorded
  --head HASH    fail unless the last line has this hash: shows a recording replaced as a whole
  --allow-open   accept a recording without an end, that is still being written
  --partial      accept segments of a session without the others
  --json         print the result as JSON
  -h, --help     show this

Exit status: 0 all verify, 1 something does not, 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { values, positionals } = readArguments(args, {
      session: { type: 'string' },
      head: { type: 'string' },
      'allow-open': { type: 'boolean' },
      partial: { type: 'boolean' },
      json: { type: 'boolean' },
    })
    if (positionals.length === 0) throw new UsageError('expected at least one FILE')
    const options: VerifyOptions = {
      ...(values.session === undefined ? {} : { sessionId: values.session }),
      allowUnclosed: values['allow-open'] === true,
    }
    let checked: Checked[] = []
    for (const file of positionals) checked.push({ file, result: await verifyRecording(openInput(file, io), options) })
    if (values.partial !== true) checked = linkSegments(checked)
    if (values.head !== undefined) checked = checkHead(checked, values.head)

    const isGood = checked.every(({ result }) => result.ok)
    if (values.json === true) {
      const files = checked.map(({ file, result }) => ({ file, ...result }))
      await io.out(`${JSON.stringify({ ok: isGood, files }, undefined, 2)}\n`)
    } else {
      for (const each of checked) await io.out(`${describe(each)}\n`)
    }
    return isGood ? 0 : 1
  },
}

function checkHead(checked: readonly Checked[], head: string): Checked[] {
  if (new Set(checked.map(({ result }) => result.sessionId)).size > 1) {
    throw new UsageError('--head is for the recording of one session')
  }
  return checked.map((each, index) => {
    const { file, result } = each
    if (index !== checked.length - 1 || !result.ok || result.head === head) return each
    const message = `expected the last hash to be \`${head}\`, got \`${result.head}\``
    return { file, result: { ...result, ok: false, problem: { line: result.lines, kind: 'head', message } } }
  })
}

function describe({ file, result }: Checked): string {
  const { problem } = result
  if (problem !== undefined) {
    return printableText(`${file}: NOT OK, line ${problem.line}: ${problem.message} (${problem.kind})`)
  }
  const segment =
    result.segment === 1 && result.ending !== 'continued' ? '' : `, segment ${result.segment ?? 'unknown'}`
  const ending = { end: 'ended', continued: 'continued', seal: 'sealed after a crash' }[result.ending ?? 'end']
  const state = result.ending === undefined ? 'still open' : ending
  const clock = result.clockSetBack
  const setBack = clock === undefined ? '' : `, clock set back ${clock.byMs} ms at line ${clock.line}`
  return printableText(
    `${file}: ok, session ${result.sessionId ?? 'unknown'}${segment}, ${result.lines} lines, ${state}${setBack}, head ${result.head}`,
  )
}
