import { printableText } from '../../core/index.js'
import { checkPolicy, formatProblem } from '../../policy/index.js'
import { oneFile, readArguments } from '../arguments.js'
import type { CliCommand } from '../command.js'
import { readText } from '../input.js'

/** Checks a policy file as a gateway would when it loads it. */
export const policyCheckCommand: CliCommand = {
  name: 'policy check',
  summary: 'report every problem of a policy file',
  help: `Usage: sallyport policy check [options] FILE

Reads a policy file as a gateway would and reports every problem with its line. \`-\` is standard input, read as YAML.

Options:
  --json         print the problems as JSON
  -h, --help     show this

Exit status: 0 it is a policy, 1 it is not, 2 wrong arguments or unreadable file.
`,
  async run(args, io) {
    const { values, positionals } = readArguments(args, { json: { type: 'boolean' } })
    const file = oneFile(positionals)
    const problems = checkPolicy(await readText(file, io), { fileName: file })
    const isGood = problems.length === 0
    if (values.json === true) await io.out(`${JSON.stringify({ ok: isGood, problems }, undefined, 2)}\n`)
    else if (isGood) await io.out(`${printableText(file)}: ok\n`)
    else for (const problem of problems) await io.out(`${printableText(formatProblem(problem))}\n`)
    return isGood ? 0 : 1
  },
}
