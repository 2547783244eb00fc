/** Adds a line to the page. */
export function show(text) {
  const item = document.createElement('li');
  item.textContent = text;
  document.querySelector('#news').append(item);
}
