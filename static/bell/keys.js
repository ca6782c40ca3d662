/** What keys do in the open list. */

/** @param {HTMLElement} panel @param {KeyboardEvent} event @param {(step: number) => void} move to another row */
export function handleKey(panel, event, move) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === 'Tab') trapFocus(panel, event);
  if ((event.key === 'Enter' || event.key === ' ') && target.matches('a[role=button]')) {
    event.preventDefault();
    target.click();
    return;
  }
  const to = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  const elsewhere = target.matches('[role=tab], [role=menuitem], input, select');
  if (to === undefined || elsewhere || event.defaultPrevented) return;
  event.preventDefault();
  move(to);
}

/** Let the Tab key go round. @param {HTMLElement} panel @param {KeyboardEvent} event */
function trapFocus(panel, event) {
  const able = /** @type {HTMLElement[]} */ ([...panel.querySelectorAll('button, input, select, a[href], [tabindex="0"]')]);
  const stops = able.filter((one) => one.tabIndex >= 0 && one.checkVisibility() && !one.matches(':disabled'));
  const root = /** @type {ShadowRoot} */ (panel.getRootNode());
  const [first, last] = [stops[0], stops[stops.length - 1]];
  const from = root.activeElement;
  if (event.shiftKey ? from !== first && from !== panel : from !== last) return;
  event.preventDefault();
  (event.shiftKey ? last : first)?.focus();
}
