import { optionTable, parseOptions } from '../options.js'
import type { Call, Report } from '../program.js'
import { knownWord, type WordValue, wordFrom } from '../word-value.js'
import { connects, joinWords, portOf } from './support.js'

export const SSH_OPTIONS =
  '4 6 A a C f G g K k M N n q s T t V v X x Y y B= b= c= D= E=@write e= F=@read I=@execute i=@read J= L= l= m= O= o= P= p= Q= R= S= W= w='

const TABLE = optionTable(SSH_OPTIONS)

/** Options may also stand between the host and the command. */
export function ssh(call: Call, report: Report): void {
  const [host, ...behind] = call.operands
  const more = parseOptions(behind, TABLE, 'posix')
  const values = [...call.values, ...more.values]
  const flags = new Set([...values.map(({ spec }) => spec.name), ...more.flags])
  const last = (name: string): WordValue | undefined => values.findLast(({ spec }) => spec.name === name)?.word
  const has = (name: string): boolean => flags.has(name) || call.has(name)

  for (const { spec, word } of more.values) {
    if (spec.role === 'read' || spec.role === 'write') report.file(word, [spec.role])
  }
  for (const { spec, word } of values) if (spec.name === 'o') clientOption(word, report)
  if (has('I')) report.hazard('unseen-code')
  if (has('R') || has('L') || has('D') || has('w') || has('W')) report.hazard('firewall')
  for (const word of [last('R'), last('L'), last('D')]) {
    if (word === undefined) continue
    const parts = word.text.split(':')
    const listening = portOf(
      knownWord(parts.length === 4 ? (parts[1] ?? '') : parts.length === 2 ? (parts[1] ?? '') : (parts[0] ?? '')),
    )
    report.network({ host: undefined, ...(listening === undefined ? {} : { port: listening }), direction: 'listen' })
  }
  const jump = last('J')
  if (jump !== undefined) for (const hop of jump.text.split(',')) connects(report, jump.isKnown ? knownWord(hop) : jump)
  if (host === undefined) return
  connects(report, host.isKnown ? knownWord(host.text.replace(/^ssh:\/\//, '')) : host, portOf(last('p')) ?? 22)
  report.fetches()
  if (call.input?.reads === true && !has('n')) report.hazard('exfiltration')
  if (more.operands.length > 0 && !has('s')) report.script(joinWords(more.operands), call.program, { isRemote: true })
  else if (!has('N') && !has('G') && !has('O') && !has('s') && !has('W')) {
    if (call.input?.text === undefined) report.unknown('a shell on another machine')
    else report.script(knownWord(call.input.text), call.program, { isRemote: true })
  }
}

/** Some settings are command lines for this machine. */
function clientOption(word: WordValue, report: Report): void {
  const match =
    /^\s*(ProxyCommand|LocalCommand|KnownHostsCommand|PKCS11Provider|SecurityKeyProvider|Match|Include)[\s=]+/i.exec(
      word.text,
    )
  if (match === null) return
  report.hazard('unseen-code')
  if (/Command$/i.test(match[1] ?? ''))
    report.script(wordFrom(word, match[0].length), `ssh ${match[1]}`, { keepsCaller: true, isOpen: true })
}
