/**
 * The schemas of a PostgreSQL search_path setting, folded as the server folds them.
 *
 * @returns undefined where the setting cannot be read or has an entry whose schema is not known from its
 * text (`$user`)
 */
export function parseSearchPath(setting: string | undefined): readonly string[] | undefined {
  if (setting === undefined) return undefined
  const entries: string[] = []
  let rest = setting.trim()
  while (rest !== '') {
    const match = /^(?:"((?:[^"]|"")+)"|([^\s,"']+))\s*(?:,\s*|$)/.exec(rest)
    if (match === null) return undefined
    const quoted = match[1]?.replaceAll('""', '"')
    const entry = quoted ?? match[2]?.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) ?? ''
    if (entry === '$user') return undefined
    entries.push(entry)
    rest = rest.slice(match[0].length)
  }
  return entries
}
