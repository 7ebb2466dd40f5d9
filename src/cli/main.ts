#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { system } from '../gateway/system.js'
import { runCli } from './run.js'

/** The version in the nearest package.json above: this file runs from `dist` as well as from source. */
function readVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      const value: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      if (typeof value === 'object' && value !== null && 'version' in value) return String(value.version)
    } catch {
      // Not here: one further up.
    }
    if (folder === dirname(folder)) return 'unknown'
  }
}

// Who reads us may stop reading (`| head`): then there is nothing left to do, and nothing to complain about.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 2)
})
process.stderr.on('error', () => undefined)

void runCli(process.argv.slice(2), readVersion(), {
  stdin: process.stdin,
  out: (text) =>
    new Promise((resolve) => {
      if (process.stdout.write(text)) resolve()
      else process.stdout.once('drain', resolve)
    }),
  wait: (delayMs) => new Promise((resolve) => void system.schedule(delayMs, resolve)),
  error: (line) => void process.stderr.write(`${line}\n`),
}).then((code) => {
  process.exitCode = code
})
