import { cpus, loadavg, release, totalmem } from 'node:os'

/** Above this the machine is doing something else too, and absolute figures mean little. */
const BUSY_LOAD = 3

/** Where and when the figures come from, one line each. */
export function describeMachine(): readonly string[] {
  const processors = cpus()
  const gigabytes = (totalmem() / 2 ** 30).toFixed(0)
  return [
    `${processors.length} cores of ${processors[0]?.model.trim() ?? 'an unknown processor'}, ${gigabytes} GiB, ` +
      `Linux ${release()}, Node ${process.version}`,
    `${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, load average ${load()}`,
  ]
}

export function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
}

/** A warning where something else is at work. Our own work raises the load too, so ask before it. */
export function loadWarning(): string | undefined {
  const [now = 0] = loadavg()
  if (now <= BUSY_LOAD) return undefined
  return `WARNING: the load average is ${now.toFixed(1)}: other work disturbs these figures; trust ratios only`
}
