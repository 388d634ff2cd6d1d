// Before anything is drawn: the theme and the language of the last visit, so that nothing flashes.
try {
  const kept = JSON.parse(localStorage.getItem('fromnoise.preferences') || '{}')
  if (kept.theme === 'light' || kept.theme === 'dark') document.documentElement.dataset.theme = kept.theme
  if (kept.language === 'zh') document.documentElement.lang = 'zh-Hans'
} catch {
  // nothing was kept
}
