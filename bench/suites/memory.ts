import { type Answer, peakBytes, residentBytes, resetPeak } from '../child.js'
import { atMost, type Line, type Table } from '../report.js'
import { DATABASE, type Proxy, type World } from '../world.js'

const MEBIBYTE = 2 ** 20
/** More than this between a small and a large result is no longer flat. */
const FLAT_MEBIBYTES = 32

/** What sessions cost that wait, and what results cost that pass. */
export async function measureMemory(
  world: World,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<readonly Table[]> {
  tell('memory of idle sessions')
  const count = isQuick ? 100 : 500
  const relay = await world.startRelay()
  const gateway = await world.startGateway()
  const sessions: Table = {
    title: `${count} idle sessions, each after one statement`,
    notes: [
      'KiB per session after a full collection: resident memory, and what the process itself counts (heap and buffers).',
    ],
    lines: [await idleLine(world, relay, count), await idleLine(world, gateway, count)],
  }
  tell('memory of results')
  const lines: Line[] = []
  for (const [name, user, proxy] of [
    ['relay', relay.contender.user, relay],
    ['gateway', 'open', gateway],
    ['gateway, three masked columns', 'masked', gateway],
    ['gateway, all detectors on every text', 'detected', gateway],
  ] as const) {
    lines.push(await resultLine(world, name, user, proxy))
  }
  for (const { child } of [relay, gateway]) await child.stop()
  return [sessions, { title: 'Most resident memory while a result passes, MiB', lines }]
}

async function idleLine(world: World, { contender, child }: Proxy, count: number): Promise<Line> {
  const { port, user, name } = contender
  const hold = {
    ask: 'hold',
    port,
    user,
    database: DATABASE,
    sql: 'SELECT abalance FROM pgbench_accounts WHERE aid = 1',
  }
  // Once beforehand: what is allocated once belongs to no session.
  await world.reader.ask({ ...hold, count })
  await world.reader.ask({ ask: 'letGo' })
  await settled()
  const before = await child.ask({ ask: 'memory' })
  await world.reader.ask({ ...hold, count })
  await settled()
  const after = await child.ask({ ask: 'memory' })
  await world.reader.ask({ ask: 'letGo' })
  await settled()
  const per = (fields: readonly ('rss' | 'heapUsed' | 'external')[]): number => {
    const sum = (answer: Answer): number => fields.reduce((total, field) => total + (answer[field] ?? 0), 0)
    return (sum(after) - sum(before)) / count / 1024
  }
  const counted = per(['heapUsed', 'external'])
  const resident = per(['rss'])
  return {
    name,
    cells: { 'resident KiB': resident, 'heap and buffers KiB': counted, 'heap KiB': per(['heapUsed']) },
    ...(name === 'gateway'
      ? { checks: [atMost('KiB per session', counted, 64), atMost('resident KiB per session', resident, 64)] }
      : {}),
  }
}

async function resultLine(world: World, name: string, user: string, { contender, child }: Proxy): Promise<Line> {
  const { port } = contender
  const peak = async (rows: number): Promise<number> => {
    await child.ask({ ask: 'memory' })
    resetPeak(child.pid)
    const sql = `SELECT * FROM people WHERE id <= ${rows}`
    await world.reader.ask({ ask: 'query', port, user, database: DATABASE, sql })
    return peakBytes(child.pid) / MEBIBYTE
  }
  // The first long answer compiles code and grows the heap to its working size.
  await peak(world.rows)
  const before = residentBytes(child.pid) / MEBIBYTE
  const few = await peak(10_000)
  const many = await peak(world.rows)
  return {
    name,
    cells: { before, '10,000 rows': few, [`${world.rows.toLocaleString('en-US')} rows`]: many, difference: many - few },
    ...(name === 'relay' ? {} : { checks: [atMost('difference MiB', many - few, FLAT_MEBIBYTES)] }),
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 500))
}
