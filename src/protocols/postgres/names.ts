import { isUtf8 } from 'node:buffer'

/**
 * The bytes `[start, end)` of a statement, portal or column name as a string that no other name shares: UTF-8
 * where it is valid, and otherwise the bytes as Latin-1 behind a NUL, which no name can contain.
 */
export function decodeName(buffer: Buffer, start: number, end: number): string {
  if (start === end) return ''
  let ascii = 0
  for (let i = start; i < end; i++) ascii |= buffer[i] as number
  if (ascii < 0x80) return buffer.toString('latin1', start, end)
  if (isUtf8(buffer.subarray(start, end))) return buffer.toString('utf8', start, end)
  return `\0${buffer.toString('latin1', start, end)}`
}

/** The exact bytes {@link decodeName} was given. */
export function encodeName(name: string): Buffer {
  return name.startsWith('\0') ? Buffer.from(name.slice(1), 'latin1') : Buffer.from(name, 'utf8')
}

/** The server looks at no more of the name of a statement or portal (NAMEDATALEN - 1). */
const MAX_NAME_BYTES = 63

/**
 * What the server takes the name of a statement or portal for that a message gives. Undefined where that depends on the
 * encodings of client and database.
 */
export function serverName(name: string): string | undefined {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (code === 0 || code >= 0x80) return undefined
  }
  return name.length > MAX_NAME_BYTES ? name.slice(0, MAX_NAME_BYTES) : name
}
