/** The demo page: two people, a form, what happens, and the mailbox. */

import './define.js';
import { Mailbox } from './demo/mailbox.js';
import { createPerson } from './demo/person.js';
import { setUpPublish } from './demo/publish.js';
import { signIn } from './demo/session.js';
import { Story } from './demo/story.js';

const RETRY_MS = 1_000;

const place = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

async function begin() {
  const users = await signIn();
  const mailbox = new Mailbox(place('mail'), users);
  const story = new Story(place('story'), users, () => mailbox.refresh());
  for (const user of users) {
    const { element, client } = createPerson(user, /** @type {HTMLTemplateElement} */ (place('person')));
    place('people').append(element);
    client.addEventListener('change', () => story.refresh());
  }
  const card = /** @type {HTMLElement} */ (document.querySelector('.publish'));
  setUpPublish(card, ({ id }) => story.follow(id));
  await mailbox.refresh();
}

/** The page may be there before the server is (it is cached, the server restarts). */
async function beginWhenReachable() {
  try {
    await begin();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    setTimeout(beginWhenReachable, RETRY_MS);
  }
}

beginWhenReachable();
