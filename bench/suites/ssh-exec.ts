import { cpuUs } from '../child.js'
import { atLeast, atMost, type Check, type Line, type Table } from '../report.js'
import { directTo, type SshContender, type SshTarget, type SshWorld } from '../ssh-world.js'
import { median, medianRatio, percentile } from '../statistics.js'

/** Of the bare relay's commands per second. */
const LEAST_OF_RELAY = 0.9
/** Of the bare relay's, for a connection with one command. */
const MOST_CPU_OF_CONNECT = 1.3
/** Above a command without anything in between. */
const MOST_ADDED_MS = 5

interface ExecRun {
  readonly samples: readonly number[]
  readonly perSecond: number
  readonly cpuUs: number
}

interface Way {
  readonly name: string
  readonly contenders: readonly SshContender[]
  readonly ask: Readonly<Record<string, string | number>>
  readonly count: number
}

/** How long commands take, on connections that stay open and on new ones. */
export async function measureSshExec(
  world: SshWorld,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<readonly Table[]> {
  const rounds = isQuick ? 2 : 7
  const tables: Table[] = []
  for (const target of [world.empty, world.real]) {
    const relay = await world.startRelay(target)
    const gateway = await world.startGateway(target)
    const contenders = [directTo(target), relay.contender, gateway.contender]
    tell(`commands, ${target.name}`)
    const isReal = target.name === 'sshd'
    const count = isQuick ? 40 : isReal ? 100 : 600
    const exec = { ask: 'execs', command: 'true' }
    const lines: Line[] = []
    for (const way of [
      { name: 'one at a time', contenders, ask: { ...exec, parallel: 1 }, count },
      { name: '8 channels at a time', contenders, ask: { ...exec, parallel: 8 }, count: 2 * count },
      {
        name: 'on a new connection',
        contenders,
        ask: { ...exec, ask: 'connects' },
        count: isQuick ? 10 : isReal ? 20 : 60,
      },
    ]) {
      lines.push(...linesOf(way, await interleaved(world, way, rounds), target))
    }
    for (const { child } of [relay, gateway]) await child.stop()
    tables.push({ title: titleOf(target), notes: NOTES, lines })
  }
  return tables
}

const NOTES = [
  'The client is ssh2\'s, in a process of its own. "added" is what the median takes longer than the direct one; "/relay" is the median of the rounds\' ratios.',
]

function titleOf(target: SshTarget): string {
  return target.name === 'sshd'
    ? 'SSH: a command at OpenSSH, which starts a shell for each'
    : 'SSH: a command at a server that starts nothing for it'
}

async function interleaved(world: SshWorld, way: Way, rounds: number): Promise<readonly (readonly ExecRun[])[]> {
  const runs: ExecRun[][] = way.contenders.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { port, user, pid }] of way.contenders.entries()) {
      const before = pid === undefined ? Number.NaN : cpuUs(pid)
      const started = performance.now()
      const { samples = [], ms } = await world.client.ask({ ask: '', ...way.ask, count: way.count, port, user })
      const seconds = (ms ?? performance.now() - started) / 1000
      const cpu = pid === undefined ? Number.NaN : (cpuUs(pid) - before) / way.count
      if (round > 0) runs[index]?.push({ samples, perSecond: way.count / seconds, cpuUs: cpu })
    }
  }
  return runs
}

function linesOf(way: Way, runs: readonly (readonly ExecRun[])[], target: SshTarget): readonly Line[] {
  const of = (index: number, field: 'perSecond' | 'cpuUs'): number[] => (runs[index] ?? []).map((run) => run[field])
  const sortedOf = (index: number): Float64Array =>
    Float64Array.from((runs[index] ?? []).flatMap(({ samples }) => samples)).sort()
  const directP50 = percentile(sortedOf(0), 0.5)
  const relayIndex = way.contenders.findIndex(({ name }) => name === 'relay')
  return way.contenders.map(({ name }, index): Line => {
    const sorted = sortedOf(index)
    const p50 = percentile(sorted, 0.5)
    const ratio = medianRatio(of(index, 'perSecond'), of(relayIndex, 'perSecond'))
    const checks: Check[] = []
    const cpuRatio = medianRatio(of(index, 'cpuUs'), of(relayIndex, 'cpuUs'))
    if (name === 'gateway') {
      // A log-in costs what its keys and its record cost: the same target as for other connects.
      if (way.ask['ask'] === 'connects') checks.push(atMost('CPU / relay', cpuRatio, MOST_CPU_OF_CONNECT))
      else checks.push(atLeast('commands / relay', ratio, LEAST_OF_RELAY))
      if (target.name === 'sshd' && way.ask['parallel'] === 1) {
        checks.push(atMost('added p50 ms', p50 - directP50, MOST_ADDED_MS))
      }
    }
    return {
      name: `${way.name}, ${name}`,
      cells: {
        'commands/s': median(of(index, 'perSecond')),
        'commands/s / relay': ratio,
        'p50 ms': p50,
        'added p50': p50 - directP50,
        'p99 ms': percentile(sorted, 0.99),
        'CPU us': median(of(index, 'cpuUs')),
        'CPU / relay': cpuRatio,
      },
      checks,
    }
  })
}
