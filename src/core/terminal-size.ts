/** A terminal's size in characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}
