/**
 * A button with a badge, and the list it opens. Give it a client; the page starts and stops that.
 *
 * @tagname notification-bell
 *
 * @attr {string} label - What the button and the list are called; "Notifications" in the page's language unless given.
 * @attr {string} tabs - Names separated by commas: `all`, `unread`, `archived`, `snoozed`, or a category; with a label of your own after `=`, as in `all, unread, order.shipped=Orders, archived`. Without it, there is the whole inbox and no row of tabs.
 * @attr {"light"|"dark"|"auto"} theme - `auto` follows the system. Without it, the page's own `color-scheme` decides.
 * @attr {string} lang - The language, if not that of the element's surroundings (`lang` of the page).
 * @attr {"manual"} attention - The page tells the client itself whether somebody looks (`client.setAttention`), instead of by the tab's visibility and signs of life (`followAttention`).
 * @attr {boolean|"top"} toasts - Shows what arrives while the list is closed in a corner of the window, for a while; `top` for an upper corner.
 * @attr {string} sound - Plays a short chime for what arrives, or the audio file with this URL.
 * @attr {boolean} title-badge - Puts the number of unread notifications in front of the page's title.
 * @attr {boolean} app-badge - Puts it on the icon of an installed web app.
 * @attr {string} push - Offers web push in the settings. The value is the URL of `webpush-sw.js` on the page's own origin; empty if the page registers a worker itself, as it has to under Trusted Types.
 * @attr {string} push-key - The hub's public VAPID key, for `push`.
 * @attr {boolean} preferences - Offers the user's choice of channels in the settings, where the hub has one.
 *
 * @fires {CustomEvent<{item: Item}>} notification-open - Somebody opened a notification. Cancel it to keep the browser from following its link. Bubbles.
 * @fires {CustomEvent<{item: Item, action: ItemAction}>} notification-action - A button of a notification was pressed. Cancel it to keep the browser from following its link. Bubbles.
 * @fires {CustomEvent<{open: boolean}>} notification-toggle - The list was opened or closed. Bubbles.
 * @fires {CustomEvent<{subscription: PushSubscription}>} push-subscription - The browser was subscribed to push. Cancel it to register the endpoint yourself. Bubbles.
 *
 * @slot icon - What is on the button instead of the drawing of a bell.
 * @slot tools - More buttons at the top of the list.
 * @slot empty - What an empty list shows.
 * @slot footer - What stands below the list.
 *
 * @csspart button - The button.
 * @csspart badge - The number on it.
 * @csspart panel - What the button opens.
 * @csspart header - The line at its top.
 * @csspart heading - Its name.
 * @csspart mark-all - "Mark all read".
 * @csspart tab - One tab.
 * @csspart banner - The line that says "Offline".
 * @csspart day - The day above its notifications.
 * @csspart row - One notification, with all that belongs to it.
 * @csspart item - What is clicked to open it.
 * @csspart avatar - The picture or the initials of whoever did it.
 * @csspart title - Its title.
 * @csspart body - Its text.
 * @csspart time - When it came.
 * @csspart dot - The mark of what is unread.
 * @csspart action - A button that came with a notification.
 * @csspart tool - A button that is only a drawing: read, snooze, archive, settings, close.
 * @csspart empty - What a list says that is empty, or could not be loaded.
 * @csspart menu - The times to snooze until.
 * @csspart settings - The settings.
 * @csspart toast - One toast.
 *
 * @cssprop --bell-accent - Links, buttons, the mark of what is unread.
 * @cssprop --bell-accent-text - Text on the accent colour.
 * @cssprop --bell-surface - Ground of the list and of toasts.
 * @cssprop --bell-hover - Ground of what the mouse is over.
 * @cssprop --bell-fresh - Ground of what is unread; transparent by default.
 * @cssprop --bell-text - Text.
 * @cssprop --bell-muted - Text that matters less; keep its contrast above 4.5 on all grounds.
 * @cssprop --bell-border - Lines.
 * @cssprop --bell-badge - Ground of the badge.
 * @cssprop --bell-badge-text - The number on it.
 * @cssprop --bell-ring - The ring around it: the colour of what the button stands on.
 * @cssprop --bell-icon - The drawing of a bell.
 * @cssprop --bell-size - Width and height of the button. Default: `40px`.
 * @cssprop --bell-width - Width of the list. Default: `400px`.
 * @cssprop --bell-radius - Roundness of list and toasts. Default: `14px`.
 * @cssprop --bell-avatar-radius - Roundness of avatars. Default: `50%`.
 * @cssprop --bell-shadow - Shadow of list and toasts.
 * @cssprop --bell-font - Font family.
 */
export class NotificationBell extends HTMLElement {
    /** @ignore */
    static observedAttributes: string[];
    set client(client: BellwireClient | null);
    /** Whose inbox it shows. The page starts and stops it. @type {BellwireClient|null} */
    get client(): BellwireClient | null;
    set renderItem(render: RenderItem | null);
    /**
     * Makes the element that stands for a notification in the list; null: as usual. It becomes a child of the bell, in a
     * slot, so the page's own styles reach it.
     *
     * @type {RenderItem|null}
     */
    get renderItem(): RenderItem | null;
    set view(view: View);
    /** What the list shows. @ignore @type {View} */
    get view(): View;
    /** Whether the list is open. @type {boolean} */
    get open(): boolean;
    /** How to speak to whoever reads this, in the page's language. @type {Words} @readonly */
    readonly get words(): Words;
    /** Open the list. */
    show(): void;
    /** Close the list. */
    hide(): void;
    /** Have a screen reader say something, when it has nothing else to say. @param {string} text */
    announce(text: string): void;
    /**
     * Do what a click on a notification does.
     *
     * @param {Item} item
     * @param {Event} event of the click on its link; prevented if the page cancels `notification-open`
     */
    activate(item: Item, event: Event): void;
    /** @ignore */
    connectedCallback(): void;
    /** @ignore */
    disconnectedCallback(): void;
    /** @ignore @param {string} name */
    attributeChangedCallback(name: string): void;
    #private;
}
export type BellwireClient = import("./client.js").BellwireClient;
export type Item = import("./store.js").Item;
export type Words = import("./bell/messages.js").Words;
export type ItemList = import("./bell/item-list.js").ItemList;
export type RenderItem = import("./bell/item-list.js").RenderItem;
export type View = import("./bell/inbox-view.js").View;
export type ItemAction = import("./bell/row-actions.js").ItemAction;
