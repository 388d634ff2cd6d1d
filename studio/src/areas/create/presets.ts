// Strengths that are known to work, for those who begin from a picture.
export const PRESETS = [
  { key: 'preset.touch', strength: 0.25 },
  { key: 'preset.colours', strength: 0.4 },
  { key: 'preset.photo', strength: 0.7 },
  { key: 'preset.sketch', strength: 0.85 },
  { key: 'preset.hint', strength: 0.95 },
] as const
