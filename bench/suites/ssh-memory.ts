import { type Answer, peakBytes, residentBytes, resetPeak } from '../child.js'
import { MEBIBYTE } from '../children/ssh-texts.js'
import { OpenSshConnection } from '../openssh.js'
import { atMost, type Line, type Table } from '../report.js'
import type { SshProxy, SshWorld } from '../ssh-world.js'

/** More than this between a small and a large stream is no longer flat. */
const FLAT_MEBIBYTES = 32
/** The same as for sessions of other protocols, though both connections of these are encrypted. */
const MOST_KIBIBYTES = 64

/** What sessions cost that wait, and what streams cost that pass. */
export async function measureSshMemory(
  world: SshWorld,
  isQuick: boolean,
  tell: (text: string) => void,
): Promise<readonly Table[]> {
  tell('memory of idle sessions')
  const count = isQuick ? 50 : 500
  const relay = await world.startRelay(world.empty)
  const gateway = await world.startGateway(world.empty)
  const ofRelay = await idleOf(world, relay, count)
  const ofGateway = await idleOf(world, gateway, count)
  const sessions: Table = {
    title: `SSH: ${count} idle sessions, each after one command`,
    notes: [
      'KiB per session after a full collection: resident memory, and what the process itself counts (heap and buffers).',
    ],
    lines: [
      { name: 'relay', cells: ofRelay },
      {
        name: 'gateway',
        cells: ofGateway,
        checks: [
          atMost('KiB per session', ofGateway['heap and buffers KiB'], MOST_KIBIBYTES),
          atMost('resident KiB per session', ofGateway['resident KiB'], MOST_KIBIBYTES),
        ],
      },
    ],
  }
  tell('memory of streams')
  const most = isQuick ? 256 : 1_024
  const lines: Line[] = []
  for (const [name, user, proxy] of [
    ['relay', relay.contender.user, relay],
    ['gateway', 'open', gateway],
    ['gateway, masked', 'masked', gateway],
    ['gateway, recorded in full', 'recorded', gateway],
  ] as const) {
    lines.push(await streamLine(world, { name, user, proxy, most }))
  }
  for (const { child } of [relay, gateway]) await child.stop()
  return [sessions, { title: 'SSH: most resident memory while output passes, MiB', lines }]
}

async function idleOf(
  world: SshWorld,
  { contender: { port, user }, child }: SshProxy,
  count: number,
): Promise<Record<'resident KiB' | 'heap and buffers KiB' | 'heap KiB', number>> {
  const hold = { ask: 'hold', port, user, command: 'true', count }
  // Once beforehand: what is allocated once belongs to no session.
  await world.client.ask(hold)
  await world.client.ask({ ask: 'letGo' })
  await settled()
  const before = await child.ask({ ask: 'memory' })
  await world.client.ask(hold)
  await settled()
  const after = await child.ask({ ask: 'memory' })
  await world.client.ask({ ask: 'letGo' })
  await settled()
  const per = (fields: readonly ('rss' | 'heapUsed' | 'external')[]): number => {
    const sum = (answer: Answer): number => fields.reduce((total, field) => total + (answer[field] ?? 0), 0)
    return (sum(after) - sum(before)) / count / 1024
  }
  return {
    'resident KiB': per(['rss']),
    'heap and buffers KiB': per(['heapUsed', 'external']),
    'heap KiB': per(['heapUsed']),
  }
}

async function streamLine(
  world: SshWorld,
  { name, user, proxy, most }: { name: string; user: string; proxy: SshProxy; most: number },
): Promise<Line> {
  const { contender, child } = proxy
  const connection = await OpenSshConnection.open(world, { ...contender, user })
  const peak = async (mebibytes: number): Promise<number> => {
    await child.ask({ ask: 'memory' })
    resetPeak(child.pid)
    await connection.run(`bytes log ${mebibytes}`)
    return peakBytes(child.pid) / MEBIBYTE
  }
  // The first long stream compiles code and grows the heap to its working size.
  await peak(256)
  const before = residentBytes(child.pid) / MEBIBYTE
  const few = await peak(16)
  const many = await peak(most)
  await connection.close()
  return {
    name,
    cells: { before, '16 MiB': few, [`${most.toLocaleString('en-US')} MiB`]: many, difference: many - few },
    ...(name === 'relay' ? {} : { checks: [atMost('difference MiB', many - few, FLAT_MEBIBYTES)] }),
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 500))
}
