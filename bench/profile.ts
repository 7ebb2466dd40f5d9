import { existsSync, readFileSync, rmSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Profiler, Runtime } from 'node:inspector'
import { MODES, runPgbench } from './suites/pgbench.js'
import type { Child } from './child.js'
import { DATABASE, type World } from './world.js'

const SHOWN = 28

/** These are the kernel's work more than ours, and the time in which it gave the core to somebody else. */
const KERNEL = new Set(['(idle)', '(program)', 'writeBuffer', 'writev', 'dispatch'])

/** Prints where the gateway's CPU time goes: self time by function, where in the sources each is. */
export async function profileGateway(world: World, print: (text: string) => void): Promise<void> {
  const { child, contender } = await world.startGateway()
  for (const mode of MODES) {
    await runPgbench(contender, mode, 8, 4)
    await profiled(child, `pgbench -S ${mode}, 8 clients`, print, async () => {
      await runPgbench(contender, mode, 8, 5)
    })
  }
  const { port } = contender
  for (const user of ['open', 'masked', 'detected']) {
    const query = { ask: 'query', port, user, database: DATABASE, sql: 'SELECT * FROM people', count: 3 }
    await world.reader.ask(query)
    await profiled(child, `bulk SELECT, user ${user}`, print, async () => {
      await world.reader.ask(query)
    })
  }
  const connects = { ask: 'connects', port, user: contender.user, database: DATABASE, count: 1_500, clients: 4 }
  await world.reader.ask(connects)
  await profiled(child, 'connects', print, async () => {
    await world.reader.ask(connects)
  })
}

/** Runs something under a child's profiler and prints where its time went. */
export async function profiled(
  child: Child,
  title: string,
  print: (text: string) => void,
  run: () => Promise<void>,
): Promise<void> {
  const file = join(tmpdir(), `sallyport-bench-${process.pid}.cpuprofile`)
  await child.ask({ ask: 'startProfile' })
  await run()
  await child.ask({ ask: 'stopProfile', file })
  const profile = JSON.parse(readFileSync(file, 'utf8')) as Profiler.Profile
  rmSync(file)
  print(`== ${title}: self time, share of what is spent outside the kernel\n${selfTimes(profile)}\n\n`)
}

/** Two lists: self time by function, and by source file with what the file's functions call outside of the sources. */
function selfTimes(profile: Profiler.Profile): string {
  const times = new Map<number, number>()
  for (const [index, id] of (profile.samples ?? []).entries()) {
    times.set(id, (times.get(id) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
  }
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const byPlace = new Map<string, number>()
  const byFile = new Map<string, number>()
  const add = (sums: Map<string, number>, name: string, us: number): void =>
    void sums.set(name, (sums.get(name) ?? 0) + us)
  // The owner of a node is the source file that called it, however deep.
  const visit = (id: number, owner: string): void => {
    const node = nodes.get(id)
    if (node === undefined) return
    const us = times.get(id) ?? 0
    const place = placeOf(node.callFrame)
    const file =
      /\b(src\/.*):\d+$/.exec(place)?.[1] ??
      (node.callFrame.functionName === '(garbage collector)' ? 'garbage collector' : owner)
    if (us > 0 && !KERNEL.has(node.callFrame.functionName)) {
      add(byPlace, place, us)
      add(byFile, file, us)
    }
    for (const child of node.children ?? []) visit(child, file)
  }
  visit(profile.nodes[0]?.id ?? 0, 'node, before it calls us')
  return `${shares(byPlace)}\n\n${shares(byFile)}`
}

function shares(sums: ReadonlyMap<string, number>): string {
  const total = [...sums.values()].reduce((sum, us) => sum + us, 0)
  return [...sums]
    .sort(([, left], [, right]) => right - left)
    .slice(0, SHOWN)
    .map(([name, us]) => `${((us / total) * 100).toFixed(1).padStart(5)} %  ${name}`)
    .join('\n')
}

const maps = new Map<string, SourceMap | undefined>()

function placeOf({ functionName, url, lineNumber, columnNumber }: Runtime.CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (!url.startsWith('file:')) return `${name} ${url}`
  const file = fileURLToPath(url)
  if (!maps.has(file)) {
    const mapFile = `${file}.map`
    maps.set(file, existsSync(mapFile) ? new SourceMap(JSON.parse(readFileSync(mapFile, 'utf8'))) : undefined)
  }
  const entry = maps.get(file)?.findEntry(lineNumber, columnNumber)
  if (entry === undefined || !('originalSource' in entry))
    return `${name} ${file.split('/').slice(-2).join('/')}:${lineNumber + 1}`
  return `${name} ${entry.originalSource.replace(/^(?:\.\.\/)+/, '')}:${entry.originalLine + 1}`
}
