// Chosen colours and language, set before the first paint. A file of its own because the policy of
// the page allows no script inside it.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem('tidings-theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    var language = localStorage.getItem('tidings-language');
    if (!language) language = /^zh/i.test(navigator.language) ? 'zh' : 'en';
    root.lang = language === 'zh' ? 'zh-Hant' : 'en';
  } catch (error) {
    // Storage is refused: the system's colours, the page's own language.
  }
})();
