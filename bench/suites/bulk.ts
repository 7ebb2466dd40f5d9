import { cpuUs } from '../child.js'
import { atLeast, atMost, type Check, type Line, type Table } from '../report.js'
import { median, medianRatio } from '../statistics.js'
import { contenderOf, type Contender, DATABASE, type World } from '../world.js'

interface BulkRun {
  readonly ms: number
  readonly bytes: number
  readonly cpuMs: number
}

interface Way {
  readonly name: string
  readonly contender: Contender
  readonly target?: number
}

const FETCH_ROWS = 2_000
const NULL_MEBIBYTES = 1_024

/** Bulk reads and a fetch of some rows, through every contender and with masks. */
export async function measureBulk(
  world: World,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<readonly Table[]> {
  const rounds = isQuick ? 2 : 5
  const gateway = contenderOf(world, 'gateway')
  const ways: Way[] = [
    ...world.contenders.map((contender) => ({
      name: contender.name,
      contender,
      ...(contender.name === 'gateway' ? { target: 0.95 } : {}),
    })),
    { name: 'gateway, three masked columns', contender: { ...gateway, user: 'masked' }, target: 0.35 },
    { name: 'gateway, three hashed columns', contender: { ...gateway, user: 'hashed' } },
    { name: 'gateway, all detectors on every text', contender: { ...gateway, user: 'detected' } },
  ]
  const lines: Line[] = []
  for (const [label, sql] of [
    ['SELECT', 'SELECT * FROM people'],
    ['COPY', 'COPY people TO STDOUT'],
  ] as const) {
    tell(`bulk read, ${label}`)
    const runs = await interleaved(world, ways, sql, rounds)
    lines.push(...bulkLines(label, ways, runs))
  }
  return [
    {
      title: `Bulk: ${world.rows.toLocaleString('en-US')} rows of seven columns, five of them text`,
      notes: [
        'MB of the unmasked answer per second. Masked columns: one redacted, two cut down to their ends. Hashed ones: each with a key, HMAC-SHA-256 per value.',
      ],
      lines,
    },
    await measureFetch(world, gateway, isQuick, tell),
    await measureNullServer(world, isQuick ? 2 : 5, isQuick, tell),
  ]
}

async function interleaved(
  world: World,
  ways: readonly Way[],
  sql: string,
  rounds: number,
): Promise<readonly (readonly BulkRun[])[]> {
  const runs: BulkRun[][] = ways.map(() => [])
  // Round 0 warms up: caches, and code that is not compiled yet.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { contender }] of ways.entries()) {
      const run = await read(world, contender, sql)
      if (round > 0) runs[index]?.push(run)
    }
  }
  return runs
}

async function read(world: World, { port, user, pid }: Contender, sql: string): Promise<BulkRun> {
  const before = pid === undefined ? Number.NaN : cpuUs(pid)
  const { bytes, samples } = await world.reader.ask({ ask: 'query', port, user, database: DATABASE, sql })
  return {
    ms: samples?.[0] ?? Number.NaN,
    bytes: bytes ?? Number.NaN,
    cpuMs: pid === undefined ? Number.NaN : (cpuUs(pid) - before) / 1000,
  }
}

function bulkLines(label: string, ways: readonly Way[], runs: readonly (readonly BulkRun[])[]): readonly Line[] {
  const relay = ways.findIndex(({ name }) => name === 'relay')
  const times = runs.map((list) => list.map(({ ms }) => ms))
  const relayTimes = times[relay] ?? []
  const megabytes = (runs[relay]?.[0]?.bytes ?? Number.NaN) / 1e6
  return ways.map(({ name, target }, index): Line => {
    const own = times[index] ?? []
    const cpu = median((runs[index] ?? []).map(({ cpuMs }) => cpuMs))
    // Speed is the reciprocal of time, so the relay's time is on top.
    const ratio = medianRatio(relayTimes, own)
    return {
      name: `${label} ${name}`,
      cells: {
        'MB/s': megabytes / (median(own) / 1000),
        'MB/s / relay': ratio,
        'CPU ms/MB': cpu / megabytes,
        'MB per CPU second': (megabytes / cpu) * 1000,
      },
      ...(target === undefined ? {} : { checks: [atLeast('MB/s / relay', ratio, target)] }),
    }
  })
}

async function measureFetch(
  world: World,
  gateway: Contender,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<Table> {
  tell(`fetch of ${FETCH_ROWS} rows`)
  const count = isQuick ? 20 : 60
  const rounds = isQuick ? 2 : 5
  const ways: Way[] = [
    { name: 'relay', contender: contenderOf(world, 'relay') },
    { name: 'gateway', contender: gateway },
    { name: 'gateway, three masked columns', contender: { ...gateway, user: 'masked' } },
    { name: 'gateway, three hashed columns', contender: { ...gateway, user: 'hashed' } },
    { name: 'gateway, all detectors on every text', contender: { ...gateway, user: 'detected' } },
  ]
  const times: number[][] = ways.map(() => [])
  const sql = `SELECT * FROM people WHERE id <= ${FETCH_ROWS}`
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { contender }] of ways.entries()) {
      const { port, user } = contender
      const { samples = [] } = await world.reader.ask({ ask: 'query', port, user, database: DATABASE, sql, count })
      if (round > 0) times[index]?.push(median(samples))
    }
  }
  const unmasked = times[1] ?? []
  return {
    title: `A fetch of ${FETCH_ROWS.toLocaleString('en-US')} rows`,
    lines: ways.map(({ name }, index): Line => {
      const own = times[index] ?? []
      const ratio = medianRatio(own, unmasked)
      const checks: Check[] = index === 2 ? [atMost('time / unmasked', ratio, 1.5)] : []
      return { name, cells: { ms: median(own), 'time / unmasked': ratio }, checks }
    }),
  }
}

/** What the gateway itself can pass on, where the server is not what limits. */
async function measureNullServer(
  world: World,
  rounds: number,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<Table> {
  tell('bulk from a server with a ready answer')
  const mebibytes = isQuick ? NULL_MEBIBYTES / 4 : NULL_MEBIBYTES
  const server = await world.startNullServer()
  const relay = await world.startRelay(server.port)
  const gateway = await world.startGateway({ port: server.port })
  const ways: Way[] = [
    { name: 'direct', contender: { name: 'direct', port: server.port, user: 'open' } },
    { name: 'relay', contender: relay.contender },
    { name: 'gateway', contender: gateway.contender, target: 1.5 },
  ]
  const runs = await interleaved(world, ways, `SELECT ${mebibytes}`, rounds)
  for (const { child } of [relay, gateway, server]) await child.stop()
  return {
    title: `${mebibytes} MiB of rows from a server that has them ready`,
    notes: ['The client is a Node process that reads and counts.'],
    lines: bulkLines('rows,', ways, runs),
  }
}
