import { renderForDisplay } from './render.js'

/** A name or a path, rendered for one line: a line break in it must not begin a line that looks like one of ours. */
export function plain(text: string, maxCharacters = 256): string {
  return renderForDisplay(text, { maxCharacters }).text.replaceAll('⏎\n', '⟦U+000A⟧')
}
