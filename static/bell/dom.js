/** Elements made without markup: nothing in the bell parses HTML, so Trusted Types have nothing to object to. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string|number|boolean|null>} [attributes] true: without a value; false, null: not at all
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

/** A drawing of lines in a square of 24, that says nothing to screen readers. @param {...string} lines */
export function icon(...lines) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  for (const line of lines) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', line);
    svg.append(path);
  }
  return svg;
}

/** A button that is only a drawing; its name comes with the words. @param {string} name its class @param {...string} lines */
export function iconButton(name, ...lines) {
  return h('button', { class: `icon ${name}`, part: 'tool', type: 'button' }, icon(...lines));
}

/** Say what an icon button does. @param {Element} button @param {string} name @param {string} [tip] what the mouse sees */
export function nameButton(button, name, tip = name) {
  button.setAttribute('aria-label', name);
  button.setAttribute('title', tip);
}
