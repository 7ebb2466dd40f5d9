import { compileDetectors, Scanner } from './scanner.js'

/**
 * Finds every value of every built-in detector in `bytes[start, end)`: one pass, linear time, no copies.
 *
 * @param onMatch told the detector's name and the offsets of each match, in order
 * @example scan(Buffer.from('mail ada@example.com'), 0, 20, (detector, start, end) => console.log(detector, start, end))
 */
export function scan(
  bytes: Uint8Array,
  start: number,
  end: number,
  onMatch: (detector: string, start: number, end: number) => void,
): void {
  const scanner = new Scanner(compileDetectors(undefined))
  scanner.start(start)
  for (let kind = scanner.next(bytes, start, end, true); kind >= 0; kind = scanner.next(bytes, start, end, true)) {
    if (scanner.isOpen) scanner.extend(bytes, end)
    onMatch(scanner.table.names[kind] as string, scanner.matchStart, scanner.matchEnd)
  }
}
