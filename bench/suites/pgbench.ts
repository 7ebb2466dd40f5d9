import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cpuUs } from '../child.js'
import { atLeast, atMost, type Check, type Line, type Table } from '../report.js'
import { median, medianRatio, percentile } from '../statistics.js'
import { type Contender, DATABASE, type World } from '../world.js'

export const MODES = ['simple', 'extended', 'prepared'] as const
export type Mode = (typeof MODES)[number]

export interface PgbenchRun {
  readonly tps: number
  /** CPU time of the process in between. NaN: there is none. */
  readonly cpuUsPerTransaction: number
  readonly p50Us: number
  readonly p99Us: number
}

type Runs = Readonly<Record<string, PgbenchRun[]>>

/** One run of `pgbench -S` through one contender. */
export async function runPgbench(
  contender: Contender,
  mode: Mode,
  clients: number,
  seconds: number,
): Promise<PgbenchRun> {
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-pgbench-'))
  const before = contender.pid === undefined ? Number.NaN : cpuUs(contender.pid)
  try {
    const output = await pgbench([
      ...['-S', '-n', '-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds)],
      ...['-l', `--log-prefix=${join(directory, 'log')}`],
      ...['-h', '127.0.0.1', '-p', String(contender.port), '-U', contender.user, DATABASE],
    ])
    const used = contender.pid === undefined ? Number.NaN : cpuUs(contender.pid) - before
    const latencies = readLatencies(directory)
    return {
      tps: Number(/^tps = ([\d.]+)/m.exec(output)?.[1]),
      cpuUsPerTransaction: used / latencies.length,
      p50Us: percentile(latencies, 0.5),
      p99Us: percentile(latencies, 0.99),
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Throughput, latency and CPU time of small statements. */
export async function measurePgbench(world: World, isQuick: boolean, tell: (text: string) => void): Promise<Table> {
  const rounds = isQuick ? 2 : 5
  const seconds = isQuick ? 1 : 2
  const lines: Line[] = []
  for (const mode of MODES) {
    // The first statements of a process run in code that is not compiled yet.
    for (const contender of world.contenders) await runPgbench(contender, mode, 8, isQuick ? 1 : 3)
    for (const clients of [1, 8, 32]) {
      tell(`pgbench ${mode}, ${clients} clients`)
      const runs: Runs = Object.fromEntries(world.contenders.map(({ name }) => [name, []]))
      for (let round = 0; round < rounds; round++) {
        for (const contender of world.contenders) {
          runs[contender.name]?.push(await runPgbench(contender, mode, clients, seconds))
        }
      }
      lines.push(...linesOf(mode, clients, runs))
    }
  }
  return {
    title: 'Small statements: pgbench -S',
    notes: [
      'tps, CPU time of the process in between per transaction, and latency as pgbench logs it; "/relay" is the median of the rounds\' ratios. ' +
        '"added" is the latency above a direct connection\'s.',
    ],
    lines,
  }
}

function linesOf(mode: Mode, clients: number, runs: Runs): readonly Line[] {
  const of = (name: string, field: keyof PgbenchRun): number[] => (runs[name] ?? []).map((run) => run[field])
  const ratio = (name: string, field: keyof PgbenchRun): number => medianRatio(of(name, field), of('relay', field))
  const added = (name: string, field: keyof PgbenchRun): number => median(of(name, field)) - median(of('direct', field))
  return ['direct', 'relay', 'gateway', 'pgbouncer'].map((name): Line => {
    const label = `${mode} c=${clients} ${name}`
    if (runs[name] === undefined) return { name: label, cells: { tps: 'not installed' } }
    return {
      name: label,
      cells: {
        tps: median(of(name, 'tps')),
        'tps/relay': ratio(name, 'tps'),
        'CPU us/tx': median(of(name, 'cpuUsPerTransaction')),
        'CPU/relay': ratio(name, 'cpuUsPerTransaction'),
        'p50 us': median(of(name, 'p50Us')),
        'added p50': added(name, 'p50Us'),
        'p99 us': median(of(name, 'p99Us')),
        'p99/relay': ratio(name, 'p99Us'),
      },
      ...(name === 'gateway' ? { checks: checksOf(mode, clients, ratio, added) } : {}),
    }
  })
}

function checksOf(
  mode: Mode,
  clients: number,
  ratio: (name: string, field: keyof PgbenchRun) => number,
  added: (name: string, field: keyof PgbenchRun) => number,
): readonly Check[] {
  if (clients === 1) {
    return [atMost('added p50 / relay', added('gateway', 'p50Us') / added('relay', 'p50Us'), 1.25)]
  }
  if (clients !== 8) return []
  return [
    atLeast('tps / relay', ratio('gateway', 'tps'), 0.9),
    ...(mode === 'simple'
      ? [atMost('CPU per transaction / relay', ratio('gateway', 'cpuUsPerTransaction'), 1.15)]
      : []),
    atMost('p99 / relay', ratio('gateway', 'p99Us'), 1.15),
  ]
}

function pgbench(args: readonly string[]): Promise<string> {
  const child = spawn('pgbench', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new Error(`pgbench ${args.join(' ')} failed: ${errors}`))
    })
  })
}

/** The third word of each line of pgbench's log is the transaction's time in microseconds. */
function readLatencies(directory: string): Float64Array {
  const values: number[] = []
  for (const file of readdirSync(directory)) {
    for (const line of readFileSync(join(directory, file), 'latin1').split('\n')) {
      if (line !== '') values.push(Number(line.split(' ', 3)[2]))
    }
  }
  return Float64Array.from(values).sort()
}
