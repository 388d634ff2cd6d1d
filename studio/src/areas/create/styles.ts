// Styles written into prompts, as the server joins them (text/prompt_styles.py).

/** A prompt with the text of a style: where it says {prompt}, else after it. */
export function joined(prompt: string, text: string): string {
  if (text.includes('{prompt}')) return text.replaceAll('{prompt}', () => prompt) // a prompt may have dollars in it
  return [prompt.trim(), text.trim()].filter(Boolean).join(', ')
}
