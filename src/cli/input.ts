import { createReadStream } from 'node:fs'
import type { Io } from './command.js'

/** A file's bytes; `-` is standard input. */
export function openInput(file: string, io: Io): AsyncIterable<Uint8Array> {
  return file === '-' ? io.stdin : createReadStream(file, { highWaterMark: 262_144 })
}

/** @throws what the file system says */
export async function readText(file: string, io: Io): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of openInput(file, io)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
