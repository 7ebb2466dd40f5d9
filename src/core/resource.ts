/** What is being reached, as the gateway's operator names it. */
export interface Resource {
  readonly name: string
  /** Protocol name, such as `postgres`. */
  readonly protocol: string
  readonly tags?: Readonly<Record<string, string>>
}
