import { cpuUs } from '../child.js'
import { atMost, type Line, type Table } from '../report.js'
import { median, medianRatio } from '../statistics.js'
import { type Contender, DATABASE, type World } from '../world.js'

const CLIENTS = 4

interface ConnectRun {
  readonly perSecond: number
  readonly cpuUs: number
}

/** Sessions opened and closed, without a password on either side. */
export async function measureConnects(world: World, isQuick: boolean, tell: (text: string) => void): Promise<Table> {
  tell('connects')
  const count = isQuick ? 200 : 600
  const rounds = isQuick ? 2 : 5
  const unrecorded = await world.startGateway({ isRecording: false })
  const ways: { readonly name: string; readonly contender: Contender }[] = [
    ...world.contenders.map((contender) => ({ name: contender.name as string, contender })),
    { name: 'gateway without recording', contender: unrecorded.contender },
  ]
  const runs: ConnectRun[][] = ways.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { contender }] of ways.entries()) {
      const { port, user, pid } = contender
      const before = pid === undefined ? Number.NaN : cpuUs(pid)
      const answer = await world.reader.ask({
        ask: 'connects',
        port,
        user,
        database: DATABASE,
        count,
        clients: CLIENTS,
      })
      // A recording's last sync comes after its client has gone; it belongs to the connect too.
      await new Promise((resolve) => setTimeout(resolve, 100))
      const used = pid === undefined ? Number.NaN : cpuUs(pid) - before
      if (round > 0) runs[index]?.push({ perSecond: count / ((answer.ms ?? 0) / 1000), cpuUs: used / count })
    }
  }
  await unrecorded.child.stop()
  const of = (index: number, field: keyof ConnectRun): number[] => (runs[index] ?? []).map((run) => run[field])
  const relay = ways.findIndex(({ name }) => name === 'relay')
  return {
    title: `Connecting: log-in without a password and goodbye, ${CLIENTS} at a time`,
    notes: ['pgbouncer re-uses its sessions with the server; the others open one for each client.'],
    lines: ways.map(({ name }, index): Line => {
      const ratio = medianRatio(of(index, 'cpuUs'), of(relay, 'cpuUs'))
      return {
        name,
        cells: {
          'connects/s': median(of(index, 'perSecond')),
          'connects/s / relay': medianRatio(of(index, 'perSecond'), of(relay, 'perSecond')),
          'CPU us/connect': median(of(index, 'cpuUs')),
          'CPU / relay': ratio,
        },
        ...(name.startsWith('gateway') ? { checks: [atMost('CPU / relay', ratio, 1.3)] } : {}),
      }
    }),
  }
}
