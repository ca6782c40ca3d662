/** Make an element; the text is set as text. @param {string} tag @param {string} [className] @param {string} [text] */
export function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  element.textContent = text;
  return element;
}
